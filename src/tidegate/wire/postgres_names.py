"""Prepared statements and portals of one session, and what is known of each.

Why: an Execute names a portal, a portal names a statement, and what runs must be what was judged. Rules kept here:

- A change takes effect when its request is planned and is taken back when that request is refused, fails or is skipped.
- An entry whose success the upstream has not confirmed counts only within its own batch: there, a failure also skips
  what refers to it. From a later batch it is *unsettled*, and whoever asks must wait.
- An entry that was taken back is void for ever, even if an older change restores it.
- SQL's own PREPARE and DECLARE share the name spaces and keep the same rules.
- Once code runs that nobody has looked into (a function, a trigger), it may have given any name another meaning, then
  or when the transaction ends. So named portals and cursors are forgotten each time, SQL's PREPARE counts no more
  for the rest of the session, and a named statement is handed over anew before each Bind to it (``loose``). A forgotten
  or unknown name is judged as what is not understood. The unnamed ones cannot be named in SQL.
- A portal ends with its transaction; a cursor WITH HOLD outlives a commit.
"""

from __future__ import annotations

from functools import partial

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Operation

from .postgres_masks import Description
from .postgres_messages import RESERVED
from .postgres_named import UNKNOWN, Classify, anew, inner, kept, plain, running, runs, unlooked

STATEMENTS = 10_000
PORTALS = 1_000
"""The most names of each kind one session may hold at a time."""


class Statement:
    """A prepared statement and the batch that made it; ``parse`` is the message that did, empty for SQL's PREPARE.

    ``types`` are those that the message declares for parameters.
    """

    __slots__ = ("batch", "facts", "last", "parse", "plain", "settled", "types", "void")

    def __init__(
        self,
        facts: Facts,
        batch: int,
        *,
        void: bool = False,
        plain: bool = False,
        parse: bytes = b"",
        types: bytes = b"",
    ) -> None:
        self.facts = facts
        self.batch = batch
        self.settled = False
        self.void = void
        self.plain = plain
        self.parse = parse
        self.types = types
        self.last: tuple[Facts, Facts] | None = None

    def run_by(self, facts: Facts) -> Facts:
        """The facts of an EXECUTE or FETCH that runs it; the last ones are remembered, for they often come again."""
        if self.last is None or self.last[0] is not facts:
            self.last = (facts, running(self.facts, facts))
        return self.last[1]


class Portal:
    """A statement bound to values, or a cursor of SQL's.

    ``judged`` is the operation a streamed Bind was already judged as. ``given`` counts its rows once they come in
    portions. ``holds``: declared WITH HOLD; ``kept``: the transaction that made it was committed.
    """

    __slots__ = (
        "batch",
        "columns",
        "described",
        "given",
        "holds",
        "judged",
        "kept",
        "parameters",
        "settled",
        "sql",
        "statement",
        "void",
    )

    def __init__(
        self,
        statement: Statement,
        batch: int,
        parameters: bytes = b"",
        *,
        judged: Operation | None = None,
        sql: bool = False,
        holds: bool = False,
    ) -> None:
        self.statement = statement
        self.batch = batch
        self.parameters = parameters
        self.judged = judged
        self.described = False
        self.columns: Description | None = None
        self.settled = False
        self.void = False
        self.given: list[int] | None = None
        self.sql = sql
        self.holds = holds
        self.kept = False

    def counted(self) -> list[int]:
        """The count of its rows, from now on kept."""
        if self.given is None:
            self.given = [0]
        return self.given


Entry = Statement | Portal


Known = tuple[dict[str, Entry], dict[str, Entry], bool]


class Change:
    """One change of a name, which can be confirmed or taken back."""

    __slots__ = ("name", "new", "old", "table")

    def __init__(self, table: dict[str, Entry], name: str, new: Entry | None, old: Entry | None) -> None:
        self.table = table
        self.name = name
        self.new = new
        self.old = old

    def settle(self) -> None:
        """The upstream confirmed it."""
        if self.new is not None:
            self.new.settled = True

    def undo(self) -> None:
        """It did not happen."""
        if self.new is not None:
            self.new.void = True
        if self.table.get(self.name) is not self.new:
            return
        self.table.pop(self.name, None)
        if self.old is not None:
            self.table[self.name] = self.old


class Names:
    """The two name spaces of a session."""

    def __init__(self, classify: Classify) -> None:
        self.classify = classify
        self.statements: dict[str, Entry] = {}
        self.portals: dict[str, Entry] = {}
        self.loose = False

    def statement(self, name: str, batch: int) -> Statement | None:
        """The statement, or None while it is unsettled. An unknown one has facts of verb ``unknown``."""
        found = self.statements.get(name)
        if not isinstance(found, Statement) or found.void or (self.loose and not found.parse):
            return Statement(unknown("statement", name), batch, void=True)
        return found if found.settled or found.batch == batch else None

    def portal(self, name: str, batch: int) -> Portal | None:
        """The portal, or None while it is unsettled. An unknown one has facts of verb ``unknown``."""
        found = self.portals.get(name)
        if not isinstance(found, Portal) or found.void:
            return Portal(Statement(unknown("portal", name), batch, void=True), batch)
        return found if found.settled or found.batch == batch else None

    def prepare(self, name: str, statement: Statement) -> Change:
        """A Parse. Raises AgentError when there are too many."""
        return _put(self.statements, name, statement, STATEMENTS)

    def bind(self, name: str, portal: Portal) -> Change:
        """A Bind. Raises AgentError when there are too many."""
        return _put(self.portals, name, portal, PORTALS)

    def close(self, portal: bool, name: str) -> Change:
        """A Close of a portal, or else a statement."""
        table = self.portals if portal else self.statements
        return Change(table, name, None, table.pop(name, None))

    def asked(self, facts: Facts, batch: int, parameters: bytes = b"", phase: str = "execute") -> Operation | None:
        """The operation of a statement that is about to run; None while the name that it runs is unsettled."""
        if not runs(facts):
            return Operation(facts, parameters, phase)
        understand, given = anew, None
        if facts.command == "execute":
            made = self.statement(str(facts.details.get("prepared", "")), batch)
        else:
            portal = self.portal(str(facts.details.get("cursor", "")), batch)
            made = portal.statement if portal is not None else None
            given = portal.counted() if portal is not None and facts.command == "fetch" else None
            understand = kept
        if made is None:
            return None
        if made.void or (self.loose and facts.command == "execute"):
            return Operation(facts, parameters, phase)
        again = partial(understand, self.classify, made.facts, facts)
        return Operation(made.run_by(facts), parameters, phase, again, given)

    def ran(self, facts: Facts, batch: int) -> Change | None:
        """A statement is about to run: what it makes of the names, if it succeeds."""
        name = str(facts.details.get("prepared", facts.details.get("cursor", "")))
        match facts.command:
            case "prepare":
                return self.prepare(name, made_of(inner(facts), batch))
            case "declare cursor":
                holds = bool(facts.details.get("holds"))
                return self.bind(name, Portal(made_of(inner(facts), batch), batch, sql=True, holds=holds))
            case "deallocate" if name != "*":
                return self.close(False, name)
            case "close" if name != "*":
                return self.close(True, name)
        self._forget(facts)
        return None

    def _forget(self, facts: Facts) -> None:
        # The tables are replaced, not emptied: a change that is taken back later must not put an old meaning back.
        if unlooked(facts):
            self.loose = True
            self.portals = {name: portal for name, portal in self.portals.items() if not name}
        if facts.verb is UNKNOWN or facts.command in ("deallocate", "discard all"):
            self.statements = {}
        if facts.verb is UNKNOWN or facts.command in ("close", "discard all"):
            self.portals = {}

    def known(self) -> Known:
        """Both tables as they are, for ``restore``."""
        return self.statements, self.portals, self.loose

    def restore(self, known: Known) -> None:
        """What made names be forgotten was refused, so that they mean what they meant."""
        self.statements, self.portals, self.loose = known

    def simple(self) -> None:
        """A simple query destroys the unnamed statement and the unnamed portal."""
        self.statements.pop("", None)
        self.portals.pop("", None)

    def idle(self, batch: int, committed: bool) -> None:
        """No transaction is open after ``batch``: its portals and older ones are gone, but for what is held."""
        gone: list[str] = []
        for name, portal in self.portals.items():
            if isinstance(portal, Portal) and portal.holds and (portal.kept or committed):
                portal.kept = True
            elif portal.batch <= batch:
                gone.append(name)
        for name in gone:
            del self.portals[name]

    def rolled_back(self) -> None:
        """A transaction was rolled back, perhaps only in part: in doubt its cursors are unknown."""
        for name, portal in list(self.portals.items()):
            if isinstance(portal, Portal) and portal.sql and not portal.kept:
                del self.portals[name]


def made_of(facts: Facts, batch: int, parse: bytes = b"", types: bytes = b"") -> Statement:
    """A statement that the agent makes in ``batch``."""
    return Statement(facts, batch, plain=plain(facts), parse=parse, types=types)


def unknown(kind: str, name: str) -> Facts:
    """Facts for running what the gateway did not see being made."""
    reason = f"the {kind} {name!r} was not made through protocol messages of this session, so what it runs is not known"
    return Facts(UNKNOWN, "execute of an unknown statement", "", reason=reason)


def _put(table: dict[str, Entry], name: str, entry: Entry, limit: int) -> Change:
    if name == RESERVED:
        raise AgentError(f"The name {RESERVED} is the gateway's own.", hint="Give the statement another name.")
    if len(table) >= limit and name not in table:
        raise AgentError(
            f"The session holds {limit} prepared statements or portals, which is the most it may.",
            hint="Close those that are no longer needed.",
            code="limit.names",
        )
    change = Change(table, name, entry, table.get(name))
    table[name] = entry
    return change
