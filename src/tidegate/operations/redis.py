"""What one Redis command does: verb, objects, the flow of values, and where its reply has them. Pure.

Objects are ``DATABASE/KEY`` such as ``0/user:7``, and ``channel/NAME`` for messages. Every command of the shipped table
is understood by its keys; what the table does not know, or what cannot be told from the arguments, is unknown. Scripts
are unknown unless the resource names their SHA-1 or function, since they may do anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.errors import ConfigError
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Field

from .redis_replies import SCORE_NAME, VALUE_NAME, Kind, Plan, plan, text
from .redis_table import Command, Key, Unclear, fits, keys, named, table
from .redis_text import parse, written

LONGEST = 2048
"""Characters of a command's text; longer arguments are shortened there and whole among the parameters."""

NEVER = {
    "auth": "a session's identity is that of its token",
    "client reply": "each command is answered, so that its outcome is known",
    "monitor": "it shows what everybody else does",
    "psync": "it carries everything on the server",
    "replconf": "it belongs to replication",
    "sync": "it carries everything on the server",
}
"""What cannot be followed, or would get around the gateway: it is unknown, and a wire forwards it under no rule."""

_VERBS = {
    Verb.SESSION: (
        "ping echo hello select quit reset readonly readwrite asking multi exec discard unwatch time lolwut "
        "command command|count command|docs command|getkeys command|getkeysandflags command|help command|info "
        "command|list client|getname client|getredir client|help client|id client|info client|setinfo "
        "client|setname client|trackinginfo client|caching client|no-touch unsubscribe punsubscribe sunsubscribe "
        "acl|whoami acl|cat acl|genpass acl|help object|help memory|help latency|help slowlog|help pubsub|help "
        "xinfo|help xgroup|help config|help script|help function|help module|help wait waitaof"
    ),
    Verb.READ: (
        "watch client|tracking info dbsize lastsave role pubsub|channels pubsub|numpat pubsub|numsub "
        "pubsub|shardchannels pubsub|shardnumsub subscribe psubscribe ssubscribe script|exists module|list "
        "function|list function|stats slowlog|len latency|latest latency|histogram latency|history memory|stats "
        "memory|doctor"
    ),
    Verb.WRITE: ("publish spublish"),
    Verb.DEFINE: (
        "flushall flushdb swapdb function|load function|delete function|flush function|restore script|load script|flush"
    ),
    Verb.EXECUTE: ("eval evalsha eval_ro evalsha_ro fcall fcall_ro"),
    Verb.ADMINISTER: ("migrate restore restore-asking pfdebug"),
}
_GIVEN = {name.replace("|", " "): verb for verb, names in _VERBS.items() for name in names.split()}

SECRETS = frozenset(
    [
        *("config get", "acl list", "acl getuser", "acl users", "acl log", "acl dryrun", "migrate", "config rewrite"),
        *("config set", "acl setuser", "acl deluser", "acl load"),
    ]
)
"""What shows the server's own secrets, carries them along, or changes them and with them the gateway's own login."""

UNBOUNDED = frozenset(["keys", "flushall", "flushdb", "swapdb", "psubscribe", "monitor"])

_CHANGES = frozenset(["touch", "client tracking"])
"""Called read-only, and yet it changes something."""

_TARGETS = {
    "rename": 1, "renamenx": 1, "copy": 1, "lmove": 1, "blmove": 1, "rpoplpush": 1, "brpoplpush": 1, "smove": 1,
    "sdiffstore": 0, "sinterstore": 0, "sunionstore": 0, "zdiffstore": 0, "zinterstore": 0, "zunionstore": 0,
    "zrangestore": 0, "geosearchstore": 0, "bitop": 0, "pfmerge": 0,
}  # fmt: skip
"""Commands that copy stored values from keys to a key, which is the n-th of them."""

_FILTERS = {
    VALUE_NAME: (
        "sismember smismember lpos zrank zrevrank zscore zmscore zrangebylex zrevrangebylex zlexcount lrem srem zrem "
        "linsert smove zremrangebylex vismember bitpos getbit bitcount"
    ),
    SCORE_NAME: "zrangebyscore zrevrangebyscore zcount zremrangebyscore zrank zrevrank zrange zrevrange",
}
_FILTERED = {
    name: tuple(field for field, names in _FILTERS.items() if name in names.split())
    for names in _FILTERS.values()
    for name in names.split()
}
"""Commands whose answer, or effect, tells whether a key holds what the agent guesses, and what of the key."""

_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a resource's options allow: SHA-1 sums of scripts, and names of functions."""

    scripts: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Understood:
    """One command: what policy sees, and how its reply is read."""

    facts: Facts
    reply: Plan
    name: str


def rules(options: Mapping[str, Any]) -> Rules:
    """The options of a resource. Raises ConfigError."""
    for name, wanted in options.items():
        if name not in ("scripts", "functions") or not isinstance(wanted, list):
            raise _wrong(name)
        if any(not isinstance(item, str) or not item for item in wanted):
            raise _wrong(name)
    scripts = [sum.lower() for sum in options.get("scripts", ())]
    if not all(map(_SHA1.fullmatch, scripts)):
        raise _wrong("scripts")
    return Rules(frozenset(scripts), frozenset(options.get("functions", ())))


def _wrong(name: str) -> ConfigError:
    return ConfigError(
        f"the option {name!r} is none, or not what it should be",
        hint="Options are `scripts: [SHA-1, ...]` and `functions: [NAME, ...]`.",
        code="config.options",
    )


def classify(line: str, database: int, allowed: Rules) -> tuple[Facts, ...]:
    """The commands of a text, one a line, as a session that begins in ``database`` would send them."""
    found: list[Facts] = []
    for each in line.split("\n"):
        args = parse(each)
        if args is None:
            found.append(Facts(Verb.UNKNOWN, "unknown", each, reason="its quotes do not match"))
        elif args:
            found.append(understand(args, database, allowed).facts)
    return tuple(found)


def understand(args: Sequence[bytes], database: int, allowed: Rules) -> Understood:
    """One command; never raises, whatever it is."""
    said = _text(args)
    command = named(args)
    if command is None:
        return _unknown("unknown", said, "there is no such command in the table")
    if command.name in NEVER:
        return _unknown(command.name, said, NEVER[command.name])
    if not fits(command, len(args)):
        return _unknown(command.name, said, "it has not as many arguments as it takes")
    try:
        found = _keys(command, args)
    except Unclear as unclear:
        return _unknown(command.name, said, str(unclear))
    return _understood(command, args, said, found, database, allowed)


def _understood(
    command: Command, args: Sequence[bytes], said: str, found: list[Key], database: int, allowed: Rules
) -> Understood:
    name = command.name
    objects = tuple(f"{database}/{text(key.name)}" for key in found)
    reads, writes = _touched(command, args, found, objects)
    verb = Verb.READ if name == "sort" and len(found) == 1 else _verb(command)
    why = _objection(command, args, allowed, verb)
    if why:
        return Understood(
            Facts(Verb.UNKNOWN, name, said, reads, writes, details={"unresolved": True}, reason=why, flows=None),
            Plan(Kind.UNTRACED, objects),
            name,
        )
    details: dict[str, object] = {"database": database}
    if name in SECRETS:
        details["secrets"] = True
    if name == "swapdb":
        details["unresolved"] = True  # every key of two databases is called differently then, in every session
    if name in UNBOUNDED:
        details["unbounded"] = True
    elif verb is Verb.WRITE:
        details["unbounded"] = False
    scripted = verb is Verb.EXECUTE
    facts = Facts(
        verb,
        name,
        said,
        reads,
        writes,
        effect=verb not in (Verb.READ, Verb.SESSION) or name in _CHANGES,
        filters=None if scripted else _filters(name, objects),
        flows=None if scripted or name == "swapdb" else _flows(name, args, objects),
        details=details,
    )
    return Understood(facts, plan(name, args, objects), name)


def _verb(command: Command) -> Verb:
    given = _GIVEN.get(command.name)
    if given is not None:
        return given
    if "readonly" in command.flags:
        return Verb.READ
    return Verb.WRITE if "write" in command.flags else Verb.ADMINISTER


def _keys(command: Command, args: Sequence[bytes]) -> list[Key]:
    if command.name in ("sort", "sort_ro"):
        return _sorted(args)
    if command.name == "migrate":
        return [Key(arg, at, frozenset({"RW", "access", "delete"})) for at, arg in enumerate(args) if at == 3 and arg]
    return keys(command, args)


def _sorted(args: Sequence[bytes]) -> list[Key]:
    """SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE key]."""
    found = [Key(args[1], 1, frozenset({"RO", "access"}))]
    at = 2
    while at < len(args):
        word, rest = args[at].upper(), len(args) - at - 1
        if word in (b"ASC", b"DESC", b"ALPHA"):
            at += 1
        elif word == b"LIMIT" and rest >= 2:
            at += 3
        elif word in (b"BY", b"GET") and rest >= 1:
            if b"*" in args[at + 1]:
                raise Unclear("it reads keys that are named only by what is sorted")
            at += 2
        elif word == b"STORE" and rest >= 1:
            found.append(Key(args[at + 1], at + 1, frozenset({"OW", "update"})))
            at += 2
        else:
            raise Unclear("its options are not those of SORT")
    return found


def _touched(
    command: Command, args: Sequence[bytes], found: list[Key], objects: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    name = command.name
    if "pubsub" in command.flags and not found:
        channels = args[1:2] if name.endswith("publish") else args[1:]
        named_ = tuple(f"channel/{text(channel)}" for channel in channels)
        return ((), named_) if name.endswith("publish") else (named_, ())
    if name.endswith(("publish", "subscribe")):
        named_ = tuple(f"channel/{text(key.name)}" for key in found)
        return ((), named_) if name.endswith("publish") else (named_, ())
    reads = [shown for key, shown in zip(found, objects, strict=True) if "RO" in key.flags or "access" in key.flags]
    if "readonly" in command.flags:
        return objects, ()
    writes = [shown for key, shown in zip(found, objects, strict=True) if "RO" not in key.flags]
    if "write" in command.flags and not writes and command.name != "sort":
        writes = reads
    if name in ("copy", "move"):
        writes += _elsewhere(name, args)
    return tuple(reads), tuple(writes)


def _elsewhere(name: str, args: Sequence[bytes]) -> list[str]:
    """What COPY and MOVE write in another database."""
    if name == "move":
        return [f"{text(args[2])}/{text(args[1])}"] if len(args) > 2 else []
    at = next((at for at, arg in enumerate(args) if at > 2 and arg.upper() == b"DB"), 0)
    return [f"{text(args[at + 1])}/{text(args[2])}"] if at and at + 1 < len(args) else []


def _filters(name: str, objects: tuple[str, ...]) -> frozenset[Field]:
    return frozenset(Field(shown, field) for field in _FILTERED.get(name, ()) for shown in objects[:1])


def _flows(name: str, args: Sequence[bytes], objects: tuple[str, ...]) -> frozenset[tuple[Field, Field]]:
    target = _TARGETS.get(name)
    targets = _elsewhere(name, args) if name in ("copy", "move") else []
    if target is not None and target < len(objects):
        targets.append(objects[target])
    elif len(objects) > 1 and name in ("sort", "georadius", "georadiusbymember"):
        target, targets = len(objects) - 1, [objects[-1]]
    sources = [shown for at, shown in enumerate(objects) if at != target]
    return frozenset((Field(source, "*"), Field(to, "*")) for source in sources for to in targets)


def _objection(command: Command, args: Sequence[bytes], allowed: Rules, verb: Verb) -> str:
    """Why a command is unknown although its words are known; empty if it is not."""
    name = command.name
    if verb is Verb.EXECUTE:
        return _scripted(name, args, allowed)
    if name == "client tracking" and b"REDIRECT" in {arg.upper() for arg in args}:
        return "it would send what it tells to somebody else"
    if name == "hello" and b"AUTH" in {arg.upper() for arg in args[1:]}:
        return NEVER["auth"]
    if name == "select" and not (args[1].isdigit() and len(args[1]) < 6 and (args[1] == b"0" or args[1][:1] != b"0")):
        return "the number of a database is none"
    return ""


def _scripted(name: str, args: Sequence[bytes], allowed: Rules) -> str:
    if name.startswith("fcall"):
        return "" if text(args[1]) in allowed.functions else "the resource does not name this function"
    sha = args[1].decode("latin-1").lower()
    if not name.startswith("evalsha"):
        sha = hashlib.sha1(args[1], usedforsecurity=False).hexdigest()
    return "" if sha in allowed.scripts else f"the resource does not name this script, whose SHA-1 is {sha[:40]}"


def _text(args: Sequence[bytes]) -> str:
    """The command as people read it; what is long is shortened, and said to be."""
    if sum(map(len, args)) <= LONGEST // 4:
        return written(args)
    shown = [arg if len(arg) <= 64 else arg[:48] for arg in args[:64]]
    cut = sum(len(arg) > 64 for arg in args[:64]) + max(0, len(args) - 64)
    return f"{written(shown)} ... ({cut} arguments cut, {sum(map(len, args))} bytes)" if cut else written(args)


def _unknown(name: str, said: str, why: str) -> Understood:
    facts = Facts(Verb.UNKNOWN, name, said, details={"unresolved": True}, reason=why, flows=None)
    return Understood(facts, Plan(Kind.UNTRACED), name)


def known() -> frozenset[str]:
    """The names of every command of the shipped table."""
    return frozenset(table())
