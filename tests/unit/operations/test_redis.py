"""What commands do, as data: verb, what they read and write, and what is said of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ConfigError
from tidegate.model.operation import Verb
from tidegate.model.resource import Field
from tidegate.operations.redis import NEVER, Rules, classify, known, rules, understand
from tidegate.operations.redis_replies import Kind

SHA = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
"""Of the script ``return 1``."""

CORPUS = """
get a                                 | read       | a          |
GET a                                 | read       | a          |
"get" a                               | read       | a          |
mget a b                              | read       | a b        |
set a v                               | write      | a          | a
set a v GET                           | write      | a          | a
setex a 9 v                           | write      |            | a
mset a 1 b 2                          | write      |            | a b
mset a 1 b                            | write      |            | a b
append a v                            | write      |            | a
incr a                                | write      | a          | a
getdel a                              | write      | a          | a
getex a                               | write      | a          | a
del a b                               | write      |            | a b
unlink a                              | write      |            | a
exists a b                            | read       | a b        |
expire a 9                            | write      |            | a
ttl a                                 | read       | a          |
type a                                | read       | a          |
touch a                               | read!      | a          |
object encoding a                     | read       | a          |
object help                           | session    |            |
object nothing a                      | unknown    |            |
dump a                                | read       | a          |
restore a 0 x                         | administer |            | a
rename a b                            | write      | a          | a b
copy a b                              | write      | a          | b
copy a b DB 3                         | write      | a          | b 3/b
move a 4                              | write      | a          | a 4/a
sort a                                | read       | a          |
sort a limit 0 5 desc alpha           | read       | a          |
sort a by nosort get x                | read       | a          |
sort a by w_*                         | unknown    |            |
sort a get o_*->f                     | unknown    |            |
sort a store b                        | write      | a          | b
sort a bogus                          | unknown    |            |
sort_ro a                             | read       | a          |
hget a f                              | read       | a          |
hgetall a                             | read       | a          |
hset a f v                            | write      |            | a
hdel a f                              | write      |            | a
lrange a 0 -1                         | read       | a          |
lpush a v                             | write      |            | a
lmove a b left right                  | write      | a          | a b
blpop a b 0                           | write      | a b        | a b
lmpop 2 a b left                      | write      | a b        | a b
lmpop 3 a b left                      | write      | a b left   | a b left
lmpop 4 a b left                      | unknown    |            |
smembers a                            | read       | a          |
sismember a v                         | read       | a          |
sunionstore d a b                     | write      | a b        | d
zrange a 0 -1                         | read       | a          |
zrangestore d a 0 -1                  | write      | a          | d
zunion 2 a b                          | read       | a b        |
zunion 9 a b                          | unknown    |            |
zunion 1e1 a b                        | unknown    |            |
zunionstore d 2 a b weights 1 2       | write      | a b        | d
bitop and d a b                       | write      | a b        | d
xadd a * f v                          | write      |            | a
xread count 1 streams a b 0 0         | read       | a b        |
xread streams a b 0                   | unknown    |            |
xread streams streams 0               | unknown    |            |
xreadgroup group g c streams a >      | write      | a          | a
georadius a 1 1 1 m store b           | write      | a          | b
geosearchstore d a fromlonlat 1 1 byradius 1 m | write | a       | d
pfcount a b                           | read       | a b        |
pfmerge d a                           | write      | d a        | d
publish news x                        | write      |            | channel/news
subscribe news more                   | read       | channel/news channel/more |
psubscribe n*                         | read       | channel/n* |
ssubscribe news                       | read       | channel/news |
spublish news x                       | write      |            | channel/news
unsubscribe                           | session    |            |
keys *                                | read       |            |
scan 0 match a*                       | read       |            |
randomkey                             | read       |            |
dbsize                                | read       |            |
info                                  | read       |            |
flushall                              | define     |            |
FLUSHDB async                         | define     |            |
swapdb 0 1                            | define     |            |
select 3                              | session    |            |
select 03                             | unknown    |            |
select -1                             | unknown    |            |
ping                                  | session    |            |
echo x                                | session    |            |
hello 3                               | session    |            |
hello 3 auth u p                      | unknown    |            |
auth x                                | unknown    |            |
auth u x                              | unknown    |            |
watch a b                             | read       | a b        |
eval "return 1" 0                     | execute    |            |
eval "return 1" 1 a                   | execute    | a          | a
eval "return 2" 1 a                   | unknown    | a          | a
eval_ro "return 1" 1 a                | execute    | a          |
evalsha e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 | execute | |
EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0 | execute | |
evalsha aaaa 0                        | unknown    |            |
eval "return 1" 3 a                   | unknown    |            |
eval "return 1" -1 a                  | unknown    |            |
fcall good 1 a                        | execute    | a          | a
fcall bad 1 a                         | unknown    | a          | a
script load x                         | define     |            |
script flush                          | define     |            |
script kill                           | administer |            |
function load x                       | define     |            |
function dump                         | administer |            |
monitor                               | unknown    |            |
sync                                  | unknown    |            |
psync ? -1                            | unknown    |            |
replconf x                            | unknown    |            |
replicaof no one                      | administer |            |
slaveof h 1                           | administer |            |
failover                              | administer |            |
config get *                          | administer |            |
config set save x                     | administer |            |
config nothing                        | unknown    |            |
debug sleep 1                         | administer |            |
debug object a                        | administer |            |
module load x                         | administer |            |
acl list                              | administer |            |
acl whoami                            | session    |            |
acl setuser x                         | administer |            |
shutdown                              | administer |            |
bgsave                                | administer |            |
save                                  | administer |            |
client list                           | administer |            |
client kill id 1                      | administer |            |
client setname x                      | session    |            |
client reply off                      | unknown    |            |
client tracking on                    | read!      |            |
client tracking on redirect 5         | unknown    |            |
client no-evict on                    | administer |            |
cluster nodes                         | administer |            |
slowlog get                           | administer |            |
memory usage a                        | read       | a          |
migrate h 1 a 0 9                     | administer | a          | a
command docs                          | session    |            |
multi                                 | session    |            |
exec                                  | session    |            |
get                                   | unknown    |            |
get a b                               | unknown    |            |
nothing a                             | unknown    |            |
"config get" x                        | unknown    |            |
g\\xd0\\xb5t a                        | unknown    |            |
vsim a ele x                          | read       | a          |
"""
LINES = [tuple(part.strip() for part in line.split("|")) for line in CORPUS.strip().splitlines()]
ALLOWED = Rules(frozenset({SHA}), frozenset({"good"}))


def objects(names: str) -> tuple[str, ...]:
    return tuple(name if "/" in name else f"0/{name}" for name in names.split())


@pytest.mark.parametrize(("line", "verb", "reads", "writes"), LINES, ids=[line[0] for line in LINES])
def test_corpus(line: str, verb: str, reads: str, writes: str) -> None:
    """``read!`` has an effect all the same."""
    (facts,) = classify(line, 0, ALLOWED)
    effect = verb.endswith("!") or verb not in ("read", "session")
    assert (facts.verb.value, facts.effect) == (verb.rstrip("!"), effect), facts
    if verb != "unknown" or reads:
        assert (facts.reads, facts.writes) == (objects(reads), objects(writes))
    assert facts.reason if verb == "unknown" else not facts.reason


def test_the_corpus_is_large() -> None:
    """It shrinks only on purpose."""
    assert len(LINES) > 130


def test_values_flow_from_key_to_key() -> None:
    """So that a tagged key cannot be copied to a clear one, by whatever command."""
    for line, source, target in (
        ("rename a b", "0/a", "0/b"), ("copy a b", "0/a", "0/b"), ("move a 3", "0/a", "3/a"),
        ("copy a b db 3", "0/a", "3/b"), ("lmove a b left left", "0/a", "0/b"), ("smove a b m", "0/a", "0/b"),
        ("sunionstore b a", "0/a", "0/b"), ("zrangestore b a 0 1", "0/a", "0/b"), ("sort a store b", "0/a", "0/b"),
        ("bitop not b a", "0/a", "0/b"), ("pfmerge b a", "0/a", "0/b"),
        ("georadius a 1 1 1 m storedist b", "0/a", "0/b"),
    ):  # fmt: skip
        (facts,) = classify(line, 0, ALLOWED)
        assert (Field(source, "*"), Field(target, "*")) in (facts.flows or ()), line


def test_guesses_are_filters() -> None:
    """Whether a key holds what the agent says, is an answer about its values."""
    for line in ("sismember a v", "lpos a v", "zscore a m", "zrangebylex a - +", "smismember a v", "lrem a 0 v"):
        (facts,) = classify(line, 0, ALLOWED)
        assert Field("0/a", "value") in (facts.filters or ()), line
    (facts,) = classify("zcount a 0 1", 0, ALLOWED)
    assert facts.filters == {Field("0/a", "score")}


def test_scripts_may_do_anything() -> None:
    """Also those that are allowed: where their values come from and go to, nobody knows."""
    (facts,) = classify('eval "return 1" 1 a', 0, ALLOWED)
    assert (facts.filters, facts.flows) == (None, None)
    assert understand([b"eval", b"return 1", b"1", b"a"], 0, ALLOWED).reply.kind is Kind.UNTRACED


def test_secrets_of_the_server() -> None:
    """No wildcard allows them (rule 5 of the design)."""
    for line in ("config get requirepass", "acl list", "acl getuser x", "acl log", "migrate h 1 k 0 9"):
        assert classify(line, 0, ALLOWED)[0].details["secrets"] is True, line


def test_long_arguments_are_cut_in_the_text() -> None:
    """And it says so; what is short is whole."""
    said = understand([b"SET", b"k", b"v" * 10_000], 0, ALLOWED).facts.text
    assert len(said) < 300
    assert "10004 bytes" in said
    assert understand([b"set", b"k", b"v w"], 0, ALLOWED).facts.text == 'SET k "v w"'


def test_the_database_is_a_part_of_the_name() -> None:
    """As the session stands."""
    assert understand([b"get", b"a"], 7, ALLOWED).facts.reads == ("7/a",)


@given(st.lists(st.one_of(st.sampled_from(sorted(known())).map(str.encode), st.binary(max_size=12)), max_size=8))
def test_garbage_is_unknown_or_understood(args: list[bytes]) -> None:
    """It never raises, and nothing unknown claims to be harmless."""
    found = understand(args, 0, ALLOWED).facts
    assert found.verb is not Verb.UNKNOWN or (found.effect and found.reason)
    assert found.command not in NEVER or found.verb is Verb.UNKNOWN


def test_options() -> None:
    """Scripts by their sums, functions by name."""
    assert rules({"scripts": [SHA.upper()], "functions": ["f"]}) == Rules(frozenset({SHA}), frozenset({"f"}))
    for wrong in ({"scripts": ["x"]}, {"scripts": SHA}, {"functions": [1]}, {"functions": [""]}, {"other": []}):
        with pytest.raises(ConfigError, match="option"):
            rules(wrong)
