"""Where values and the names of fields are in a command's reply, so that masks find them whatever its type.

A plan is written by hand for every command that can return something stored; a test asks each command of the shipped
table for one. What has no plan is ``UNTRACED``: each of its leaves counts as a value of whatever is tagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """What a reply looks like; RESP3 may nest or map what RESP2 gives flat."""

    NONE = "no stored values: states, counts, times, names of keys"
    VALUE = "every leaf is a value of the key"
    EACH = "the n-th item is a value of the n-th key"
    FIELDS = "the n-th item is the n-th field; a single leaf is the first"
    PAIRS = "names of fields and values in turn, or in pairs, or a map"
    NAMES = "names of fields"
    SCORED = "members and scores in turn, or in pairs"
    ENTRIES = "entries of a stream: an ID and pairs"
    STREAMS = "keys, each with its entries"
    POPPED = "a key, then its values; with scores in turn or in pairs"
    WHOLE = "every leaf may be of any field of any key"
    UNTRACED = "nobody knows"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read a reply: ``keys`` are objects, ``fields`` names; ``cursor``: the second item is what it speaks of."""

    kind: Kind
    keys: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    cursor: bool = False


VALUE_NAME: Final = "value"
"""The field of a key that holds one value, and of the members of lists, sets and sorted sets."""

SCORE_NAME: Final = "score"

NAME_NAME: Final = "name"
"""The field under which the names of fields are looked up."""

_VALUE = (
    "get getdel getset getrange substr incr incrby incrbyfloat decr decrby strlen getbit setbit bitcount bitpos "
    "bitfield bitfield_ro lindex lrange lpop rpop rpoplpush brpoplpush lmove blmove smembers spop srandmember set "
    "zrangebylex zrevrangebylex getex echo"
)
_SCORED = "zrange zrevrange zrangebyscore zrevrangebyscore zpopmin zpopmax zrandmember"
_SCORES = "zscore zmscore zincrby"
_WHOLE = (
    "sdiff sinter sunion zdiff zinter zunion lcs sort sort_ro dump geopos geodist geohash geosearch georadius "
    "georadius_ro georadiusbymember georadiusbymember_ro xinfo|stream vemb vgetattr vinfo vlinks vrandmember vsim"
)
_NONE = (
    "append bitop copy dbsize del discard exists expire expireat expiretime flushall flushdb geoadd "
    "geosearchstore hdel hexists hexpire hexpireat hexpiretime hlen hpersist hpexpire hpexpireat hpexpiretime "
    "hpttl hset hsetex hsetnx hmset httl keys linsert llen lpos lpush lpushx lrem lset ltrim migrate move mset "
    "msetnx multi object|encoding object|freq object|idletime object|refcount object|help memory|usage persist "
    "pexpire pexpireat pexpiretime pfadd pfcount pfmerge ping psetex psubscribe pttl publish pubsub|channels "
    "pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub pubsub|help punsubscribe quit randomkey "
    "readonly readwrite rename renamenx reset restore rpush rpushx sadd scan scard sdiffstore select setex setnx "
    "setrange sinterstore sintercard sismember smismember smove spublish srem ssubscribe subscribe sunionstore "
    "sunsubscribe swapdb time touch ttl type unlink unsubscribe unwatch vadd vcard vdim vismember vrem vsetattr "
    "wait waitaof watch xack xackdel xadd xdel xdelex xgroup|create xgroup|createconsumer xgroup|delconsumer "
    "xgroup|destroy xgroup|setid xgroup|help xinfo|consumers xinfo|groups xinfo|help xlen xpending xsetid xtrim "
    "zadd zcard zcount zdiffstore zinterstore zintercard zlexcount zrangestore zrank zrem zremrangebylex "
    "zremrangebyrank zremrangebyscore zrevrank zunionstore lolwut info hello command command|count command|docs "
    "command|getkeys command|getkeysandflags command|help command|info command|list client|getname "
    "client|getredir client|help client|id client|info client|setinfo client|setname client|tracking "
    "client|trackinginfo client|caching client|no-touch client|kill client|no-evict client|pause client|unpause "
    "client|unblock save bgsave bgrewriteaof lastsave role shutdown replicaof slaveof failover config|set "
    "config|resetstat config|rewrite config|help acl|cat acl|whoami acl|genpass acl|help acl|load acl|save "
    "acl|setuser acl|deluser acl|users script|exists script|flush script|kill script|load script|help "
    "script|debug function|delete function|flush function|kill function|load function|restore function|help "
    "function|stats module|list module|load module|loadex module|unload module|help latency|doctor latency|graph "
    "latency|help latency|histogram latency|history latency|latest latency|reset memory|doctor memory|help "
    "memory|malloc-stats memory|purge memory|stats slowlog|len slowlog|reset slowlog|help asking cluster|info "
    "cluster|myid cluster|keyslot pfselftest"
)


def _kinds() -> Mapping[str, Kind]:
    single = {
        "mget": Kind.EACH, "hget": Kind.FIELDS, "hmget": Kind.FIELDS, "hstrlen": Kind.FIELDS, "hincrby": Kind.FIELDS,
        "hincrbyfloat": Kind.FIELDS, "hgetex": Kind.FIELDS, "hgetdel": Kind.FIELDS, "hgetall": Kind.PAIRS,
        "hrandfield": Kind.PAIRS, "hscan": Kind.PAIRS, "hkeys": Kind.NAMES, "hvals": Kind.WHOLE, "sscan": Kind.VALUE,
        "zscan": Kind.SCORED, "xrange": Kind.ENTRIES, "xrevrange": Kind.ENTRIES, "xclaim": Kind.ENTRIES,
        "xautoclaim": Kind.ENTRIES, "xread": Kind.STREAMS, "xreadgroup": Kind.STREAMS, "blpop": Kind.POPPED,
        "brpop": Kind.POPPED, "lmpop": Kind.POPPED, "blmpop": Kind.POPPED, "bzpopmin": Kind.POPPED,
        "bzpopmax": Kind.POPPED, "zmpop": Kind.POPPED, "bzmpop": Kind.POPPED,
    }  # fmt: skip
    several = {
        _VALUE: Kind.VALUE,
        _SCORED: Kind.SCORED,
        _SCORES: Kind.VALUE,
        _WHOLE: Kind.WHOLE,
        _NONE: Kind.NONE,
    }
    return {
        **single,
        **{name.replace("|", " "): kind for names, kind in several.items() for name in names.split()},
    }


KINDS: Final[Mapping[str, Kind]] = _kinds()
"""The kind of each command's reply, by its name in the table."""


def plan(name: str, args: Sequence[bytes], objects: tuple[str, ...]) -> Plan:
    """The plan for one command; ``objects`` are those of its keys, in order."""
    kind = KINDS.get(name, Kind.UNTRACED)
    words = {arg.upper() for arg in args[1:]} if kind in _OPTIONAL else frozenset()
    if kind is Kind.PAIRS and ((name == "hrandfield" and b"WITHVALUES" not in words) or b"NOVALUES" in words):
        kind = Kind.NAMES
    elif kind is Kind.SCORED and name not in ("zscan", "zpopmin", "zpopmax") and b"WITHSCORES" not in words:
        kind = Kind.VALUE
    elif name in ("xclaim", "xautoclaim") and b"JUSTID" in words:
        kind = Kind.NONE
    fields = _fields(name, args) if kind is Kind.FIELDS else (SCORE_NAME,) if name in _SCORES.split() else ()
    return Plan(kind, objects, fields, cursor=name in ("hscan", "sscan", "zscan", "xautoclaim"))


_OPTIONAL = frozenset({Kind.PAIRS, Kind.SCORED, Kind.ENTRIES})


def _fields(name: str, args: Sequence[bytes]) -> tuple[str, ...]:
    """The fields that are asked for, in order; none when they cannot be told, and then any may be meant."""
    if name in ("hget", "hstrlen", "hincrby", "hincrbyfloat"):
        return (text(args[2]),) if len(args) > 2 else ()
    if name == "hmget":
        return tuple(map(text, args[2:]))
    at = next((at for at, arg in enumerate(args) if at > 1 and arg.upper() == b"FIELDS"), 0)
    return tuple(map(text, args[at + 2 :])) if at else ()


def text(name: bytes) -> str:
    """A key, field or channel as text; bytes that are not UTF-8 are escaped, so that no two names are one."""
    try:
        return name.decode() if b"\\" not in name else name.decode().replace("\\", "\\\\")
    except UnicodeDecodeError:
        return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
