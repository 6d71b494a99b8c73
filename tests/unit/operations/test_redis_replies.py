"""How a reply is read: every command has a plan, or is known to have none."""

from __future__ import annotations

import pytest

from tidegate.operations.redis_replies import KINDS, Kind, plan, text
from tidegate.operations.redis_table import table

UNTRACED = frozenset(
    [
        *("acl dryrun", "acl getuser", "acl list", "acl log", "client list", "config get", "debug", "eval", "eval_ro"),
        *("evalsha", "evalsha_ro", "fcall", "fcall_ro", "function dump", "function list", "slowlog get", "exec"),
        *("pfdebug", "restore-asking"),
    ]
)
"""What shows anything at all, so that nobody knows where it comes from."""

NEVER_ANSWERED = frozenset(["auth", "client reply", "monitor", "psync", "replconf", "sync"])


def test_every_command_has_a_plan() -> None:
    """What a new version of the table brings does not slip through."""
    missing = {
        name
        for name, command in table().items()
        if name not in KINDS
        and not command.container
        and not name.startswith("cluster ")
        and not name.endswith(" help")
    }
    assert missing == UNTRACED | NEVER_ANSWERED
    assert set(KINDS) <= set(table())


@pytest.mark.parametrize(
    ("line", "kind", "fields"),
    [
        ("get k", Kind.VALUE, ()),
        ("set k v GET", Kind.VALUE, ()),
        ("mget a b", Kind.EACH, ()),
        ("hget k f", Kind.FIELDS, ("f",)),
        ("hmget k f g", Kind.FIELDS, ("f", "g")),
        ("hgetex k EX 9 FIELDS 2 f g", Kind.FIELDS, ("f", "g")),
        ("hgetall k", Kind.PAIRS, ()),
        ("hrandfield k 2", Kind.NAMES, ()),
        ("hrandfield k 2 WITHVALUES", Kind.PAIRS, ()),
        ("hscan k 0", Kind.PAIRS, ()),
        ("hscan k 0 novalues", Kind.NAMES, ()),
        ("hvals k", Kind.WHOLE, ()),
        ("zrange k 0 -1", Kind.VALUE, ()),
        ("zrange k 0 -1 withscores", Kind.SCORED, ()),
        ("zscore k m", Kind.VALUE, ("score",)),
        ("xclaim k g c 0 1-1", Kind.ENTRIES, ()),
        ("xclaim k g c 0 1-1 JUSTID", Kind.NONE, ()),
        ("eval s 1 k", Kind.UNTRACED, ()),
        ("del k", Kind.NONE, ()),
    ],
)
def test_plans(line: str, kind: Kind, fields: tuple[str, ...]) -> None:
    """By name and options."""
    args = line.encode().split()
    found = plan(args[0].decode(), args, ("0/k",))
    assert (found.kind, found.fields) == (kind, fields)
    assert found.cursor is (args[0] == b"hscan")


def test_no_two_names_are_one() -> None:
    """Bytes that are not UTF-8 are escaped, and so is the sign that escapes."""
    assert text(b"\xff") != text(b"\\xff")
    assert text("é".encode()) == "é"
