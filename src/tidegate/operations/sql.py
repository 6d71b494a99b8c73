"""PostgreSQL statement text to Facts: the classifier that wires and the API use.

Pure apart from its cache: the same text and catalog give the same facts. It never raises: what is not understood is one
Facts of verb UNKNOWN. ``effect`` is False only if every statement inside reads or changes session settings, all code it
runs is proven harmless, and every relation is known (rule 1 of the design).
"""

from __future__ import annotations

from collections import OrderedDict

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Output, Verb

from .catalog import Catalog
from .sql_analysis import Analysis, analyse
from .sql_parse import Statement, parse
from .sql_scope import Rowset

_ENTRIES = 1024
_BYTES_PER_LIMIT = 8
_STRICTNESS = (Verb.READ, Verb.SESSION, Verb.WRITE, Verb.EXECUTE, Verb.DEFINE, Verb.ADMINISTER, Verb.UNKNOWN)
_HARMLESS = frozenset({Verb.READ, Verb.SESSION})
_NOT_UNDERSTOOD = (RecursionError, LookupError, TypeError, ValueError, AttributeError)
_PASSING = frozenset({"select"})


class Classifier:
    """Facts by exact text, remembered for the least recently used; texts over ``limit`` bytes are not looked into."""

    def __init__(self, catalog: Catalog, limit: int = 2**20) -> None:
        self._catalog = catalog
        self._limit = limit
        self._cache: OrderedDict[str, tuple[Facts, ...]] = OrderedDict()
        self._held = 0

    def classify(self, text: str) -> tuple[Facts, ...]:
        """One Facts for each statement in ``text``; none for an empty text; never raises."""
        known = self._cache.get(text)
        if known is not None:
            self._cache.move_to_end(text)
            return known
        facts = self._facts(text)
        self._remember(text, facts)
        return facts

    def _facts(self, text: str) -> tuple[Facts, ...]:
        if len(text) > self._limit:
            return (_unparsed(text, f"the text is longer than {self._limit} characters"),)
        try:
            statements = parse(text)
        except AgentError as error:
            return (_unparsed(text, error.message),)
        except _NOT_UNDERSTOOD:
            return (_unparsed(text, "the parser gave an unknown form"),)
        multi = len(statements) > 1
        return tuple(self._one(statement, multi) for statement in statements)

    def _one(self, statement: Statement, multi: bool) -> Facts:
        try:
            return _facts(statement.text, analyse(self._catalog, statement), multi)
        except AgentError as error:
            return _unparsed(statement.text, error.message)
        except RecursionError:
            return _unparsed(statement.text, "the statement is nested too deep")
        except _NOT_UNDERSTOOD:
            return _unparsed(statement.text, "the statement has an unknown form")

    def _remember(self, text: str, facts: tuple[Facts, ...]) -> None:
        if len(text) > self._limit:
            return
        self._cache[text] = facts
        self._held += len(text)
        while len(self._cache) > _ENTRIES or self._held > _BYTES_PER_LIMIT * self._limit:
            oldest, _ = self._cache.popitem(last=False)
            self._held -= len(oldest)


def _facts(text: str, done: Analysis, multi: bool) -> Facts:
    found = done.findings
    verbs = set(found.verbs) | ({Verb.EXECUTE} if found.doubts else set())
    verb = max(verbs, key=_STRICTNESS.index)
    details = done.details | {
        "verbs": [str(one) for one in sorted(verbs, key=_STRICTNESS.index)],
        "commands": list(found.commands),
        "functions": sorted(found.functions),
        "unbounded": found.unbounded,
        "multi": multi,
        "secrets": found.secrets,
    }
    if found.unresolved:
        details["unresolved"] = sorted(found.unresolved)
    if found.reactive:
        details["reactive"] = True
    return Facts(
        verb=verb,
        command=_command(done),
        text=text,
        reads=tuple(sorted(found.reads)),
        writes=tuple(sorted(found.writes)),
        effect=not (verbs <= _HARMLESS) or bool(found.effects or found.unresolved),
        outputs=_outputs(done.rows),
        filters=found.filters,
        flows=found.flows,
        bulk=done.bulk,
        details=details,
        reason="; ".join([*found.doubts, *found.effects]),
    )


def _command(done: Analysis) -> str:
    """The statement's own command, or the strictest inside where that is only a way to carry it."""
    if done.command not in _PASSING:
        return done.command
    commands = done.findings.commands
    return max(commands, key=lambda command: _STRICTNESS.index(commands[command]))


def _outputs(rows: Rowset) -> tuple[Output, ...] | None:
    if rows.open:
        return None
    return tuple(Output(column.name, column.sources) for column in rows.columns)


def _unparsed(text: str, reason: str) -> Facts:
    details: dict[str, object] = {
        "verbs": [str(Verb.UNKNOWN)],
        "commands": ["unparsed"],
        "unresolved": ["*"],
        "multi": True,
        "unbounded": True,
        "secrets": True,
        "functions": [],
    }
    return Facts(Verb.UNKNOWN, "unparsed", text, flows=None, details=details, reason=reason)
