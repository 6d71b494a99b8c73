"""Calls of built-ins whose effects are known: they advance sequences, take locks, send messages, number transactions.

Such a call is a write, as INSERT into a table with a sequence, LOCK and NOTIFY are: it runs no code that nobody has
read and changes nothing that a name means. Its command is its name, so that a policy can speak of it.
"""

from __future__ import annotations

import re

from tidegate.model.operation import Verb

from .sql_findings import Walk
from .sql_parse import Node, children, single

_SEQUENCES = frozenset({"nextval", "setval"})
_PLAIN_NAME = re.compile(r"(?:([a-z_][a-z0-9_]*)\.)?([a-z_][a-z0-9_]*)")


def known_effect(walk: Walk, function: str, arguments: object) -> None:
    """Note what a call of a built-in with known effects does."""
    walk.findings.does(Verb.WRITE, function)
    walk.findings.effects.append(f"{function} has an effect")
    if function in _SEQUENCES:
        _sequence(walk, function, next(children(arguments), ("", {})))


def _sequence(walk: Walk, function: str, argument: tuple[str, Node]) -> None:
    """Which sequence is written: a plain constant names it, whatever else may name any."""
    kind, body = argument
    while kind == "TypeCast":
        kind, body = single(body.get("arg")) or ("", {})
    constant = body.get("sval") if kind == "A_Const" else None
    named = _PLAIN_NAME.fullmatch(str(constant.get("sval", ""))) if isinstance(constant, dict) else None
    relation = walk.catalog.resolve(named[1], named[2]) if named else None
    if relation is None:
        walk.findings.unresolved.add(f"sequence of {function}")
    else:
        walk.findings.writes.add(relation.object)
