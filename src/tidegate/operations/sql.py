"""PostgreSQL statement text to Facts: the classifier that wires and the API use.

Pure apart from its cache: the same text and catalog give the same facts. It never raises: what is not understood is one
Facts of verb UNKNOWN. ``effect`` is False only if every statement inside reads or changes session settings, all code it
runs is proven harmless, and every relation is known (rule 1 of the design).
"""

from __future__ import annotations

from collections import OrderedDict

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Output, Verb

from .catalog import SECRET_FIELDS, Catalog
from .sql_analysis import Analysis, analyse
from .sql_findings import Findings
from .sql_parse import Statement, parse
from .sql_scope import Rowset
from .sql_settings import OWN_NAMES
from .sql_shape import having, shape

_ENTRIES = 1024
_BYTES_PER_LIMIT = 8
_STRICTNESS = (Verb.READ, Verb.SESSION, Verb.WRITE, Verb.EXECUTE, Verb.DEFINE, Verb.ADMINISTER, Verb.UNKNOWN)
_HARMLESS = frozenset({Verb.READ, Verb.SESSION})
_NOT_UNDERSTOOD = (RecursionError, LookupError, TypeError, ValueError, AttributeError)
_CHANGING = frozenset({Verb.READ, Verb.SESSION, Verb.WRITE})
_SHAPED = frozenset({Verb.READ, Verb.WRITE})
_PASSING = frozenset({"select"})
_SETTING = frozenset({"select", "set", "reset"})


class Classifier:
    """Facts by exact text, remembered for the least recently used; texts over ``limit`` bytes are not looked into.

    ``role`` is a fact of every statement of a session that acts under another role than its login's.
    """

    def __init__(self, catalog: Catalog, limit: int = 2**20, role: str = "") -> None:
        self._catalog = catalog
        self._role = role
        self._limit = limit
        self._cache: OrderedDict[str, tuple[Facts, ...]] = OrderedDict()
        self._held = 0
        self._shapes: OrderedDict[str, Facts | None] = OrderedDict()

    def classify(self, text: str) -> tuple[Facts, ...]:
        """One Facts for each statement in ``text``; none for an empty text; never raises."""
        known = self._cache.get(text)
        if known is not None:
            self._cache.move_to_end(text)
            return known
        form = shape(text)
        if form is not None and (common := self._shaped(form)) is not None:
            return (having(common, text),)
        facts = self._facts(text)
        self._remember(text, facts)
        return facts

    def _shaped(self, form: str) -> Facts | None:
        """The facts of all texts of a shape; None when only each text itself can tell."""
        if form in self._shapes:
            self._shapes.move_to_end(form)
            return self._shapes[form]
        facts = self._facts(form)
        found = facts[0] if len(facts) == 1 and facts[0].verb in _SHAPED else None
        self._shapes[form] = found
        if len(self._shapes) > _ENTRIES:
            self._shapes.popitem(last=False)
        return found

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
            done = analyse(self._catalog, statement)
            if self._role:
                done.details["role"] = self._role
            return _facts(statement.text, done, multi, self._catalog)
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


def _facts(text: str, done: Analysis, multi: bool, catalog: Catalog) -> Facts:
    found = done.findings
    verbs = set(found.verbs) | ({Verb.EXECUTE} if found.doubts else set())
    verb = max(verbs, key=_STRICTNESS.index)
    details = done.details | {
        "verbs": [str(one) for one in sorted(verbs, key=_STRICTNESS.index)],
        "commands": list(found.commands),
        "functions": sorted(found.functions),
        "unbounded": found.unbounded,
        "multi": multi,
        "secrets": found.secrets or _touches_secrets(found, done.rows),
    }
    if found.doubts:
        details.pop("own_names", None)
    if found.unresolved:
        details["unresolved"] = sorted(found.unresolved)
    if found.settings:
        # Beside code that may set anything, no list of settings is complete.
        details["setting"] = sorted(found.settings | ({"*"} if found.doubts else set()))
        if not found.doubts and found.commands.keys() <= {"select", "set"}:
            details["own_names"] = not OWN_NAMES.isdisjoint(found.settings)
    if found.reactive:
        details["reactive"] = True
    sets = not found.doubts and found.commands.keys() <= _SETTING
    if (catalog.reactive and Verb.WRITE in verbs) or (catalog.functions and not verbs <= _CHANGING and not sets):
        details["code"] = True  # of users may run, by a cascade or by what is defined; a setting runs none
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


def _touches_secrets(found: Findings, rows: Rowset) -> bool:
    """Whether a secret field of a catalog that is read flows anywhere or is looked at; the unknown counts."""
    secret = {field for field in SECRET_FIELDS if field.object in found.reads}
    if not secret:
        return False
    if rows.everything is None or found.filters is None or found.flows is None:
        return True
    return not secret.isdisjoint(rows.everything | found.filters | {source for source, _ in found.flows})


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
