"""Which names a statement writes, so that a session can be asked what they stand for in it (``definition_queries``).

Names are taken from the syntax tree alone and mean nothing yet: the server resolves them. More of them than the
statement uses cost nothing but an approval that is void sooner; a missing one would let a yes hold for something else.
So every identifier counts for every kind of object, operators that a statement uses without writing them always count,
and where code runs that the tree does not hold (DO, CALL, a definition, what cannot be parsed), whatever has a name
that occurs in the text does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Rows, Verb

from .definition_queries import AFTER, BEFORE, question
from .sql_names import later_keyword
from .sql_parse import parse, single, strings

NAMES, TEXT = 4_000, 256 * 1024
"""The most names, and the most characters of text, that are looked up one by one; beyond them everything counts."""

_ALWAYS = ("=", "<>", "<", ">", "<=", ">=", "~~", "~")
"""Operators that IN, BETWEEN, LIKE, NULLIF, CASE, JOIN USING, DISTINCT and ORDER BY look up by these names."""

_UNREAD = frozenset({Verb.UNKNOWN, Verb.DEFINE, Verb.ADMINISTER})
_BY_NAME = frozenset({"execute", "fetch", "move"})
_PLAIN = re.compile(r'(?:("[^"]{1,63}"|[\w$]{1,63})\.)?("[^"]{1,63}"|[\w$]{1,63})')
_DOTTED = re.compile(r"[A-Za-z_][\w$]*(?:\.[\w$]+)+")


@dataclass(slots=True)
class _Written:
    names: set[tuple[str, str]] = field(default_factory=lambda: {("", name) for name in _ALWAYS})
    texts: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    everything: bool = False

    def name(self, *parts: str) -> None:
        """A name as it is written, or a part of it: what is called on ``a.b`` may be the function ``b``."""
        self.names.add(("", parts[-1]))
        if len(parts) > 1 and parts[-2]:
            self.names.add((parts[-2], parts[-1]))

    def constant(self, text: str) -> None:
        """A constant that may stand for an object or a setting: ``nextval('ids')``, ``current_setting('app.user')``."""
        found = _PLAIN.fullmatch(text)
        if found:
            self.name(*(_folded(part) for part in found.groups("")))
        if _DOTTED.fullmatch(text):
            self.settings.add(text)


def definition_questions(operations: Sequence[Facts]) -> tuple[str, ...]:
    """What a session is asked, in this order, to know which definitions these statements resolve to in it.

    The rows of ``definitions`` among the answers are (kind, name, mark).
    """
    written = _Written()
    for facts in operations:
        _statement(written, facts)
    if len(written.names) > NAMES or sum(map(len, written.texts)) > TEXT:
        asked = question((), (), sorted(written.settings)[:NAMES], everything=True)
    else:
        asked = question(written.names, sorted(written.texts), written.settings, written.everything)
    return BEFORE, asked, AFTER


def definitions(answers: Sequence[Rows]) -> Rows:
    """The definitions among the answers."""
    return answers[1]


def _statement(written: _Written, facts: Facts) -> None:
    for name in (*facts.reads, *facts.writes):
        schema, _, bare = name.partition(".")
        written.name(schema, bare)
    functions = facts.details.get("functions")
    for name in functions if isinstance(functions, (list, tuple)) else ():
        written.name(*str(name).split(".")[-2:])
    for text in filter(None, (facts.text, facts.runs)):
        _text(written, text)
    opaque = facts.verb in _UNREAD or "*" in _unresolved(facts)
    if opaque:
        written.texts |= {text.lower() for text in (facts.text, facts.runs) if text}
    if facts.command in _BY_NAME and not facts.runs:
        written.everything = True


def _unresolved(facts: Facts) -> Sequence[object]:
    found = facts.details.get("unresolved")
    return found if isinstance(found, (list, tuple)) else ()


def _text(written: _Written, text: str) -> None:
    try:
        for statement in parse(text):
            _node(written, {statement.kind: statement.body})
    except (AgentError, RecursionError):
        written.texts.add(text.lower())


def _node(written: _Written, value: object) -> None:
    """Every name below a node."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            _list(written, value)
            pending += value
        elif isinstance(value, dict):
            _fields(written, value)
            pending += value.values()


def _fields(written: _Written, body: dict[str, object]) -> None:
    if "relname" in body:
        written.name(str(body.get("schemaname", "")), str(body["relname"]))
    constant = body.get("sval")
    if isinstance(constant, dict):
        written.constant(str(constant.get("sval", "")))
    node = single(body)
    if node is not None and (keyword := later_keyword(*node)):
        written.name(keyword)


def _list(written: _Written, nodes: list[object]) -> None:
    names = strings(nodes)
    if names:
        written.name(*names[-2:])


def _folded(part: str) -> str:
    return part[1:-1] if part.startswith('"') else part.lower()
