"""Prepared statements and portals of one session, and what is known of each.

Why: an Execute names a portal, a portal names a statement, and what runs must be what was judged. Rules kept here:

- A change takes effect when its request is planned and is taken back when that request is refused, fails or is skipped.
- An entry whose success the upstream has not confirmed counts only within its own batch: there, a failure also skips
  what refers to it. From a later batch it is *unsettled*, and whoever asks must wait.
- An entry that was taken back is void for ever, even if an older change restores it.
- SQL's own PREPARE and DECLARE share the name spaces, so all known names are forgotten when such a statement may run.
  A forgotten or unknown name is judged as an operation of verb ``unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Operation, Verb

from .postgres_messages import Described

STATEMENTS = 10_000
PORTALS = 1_000
"""The most names of each kind one session may hold at a time."""


@dataclass(eq=False, slots=True)
class Statement:
    """A prepared statement and the batch that made it."""

    facts: Facts
    batch: int
    settled: bool = False
    void: bool = False


@dataclass(eq=False, slots=True)
class Portal:
    """A statement bound to values. ``judged`` is the operation a streamed Bind was already judged as."""

    statement: Statement
    batch: int
    parameters: bytes = b""
    judged: Operation | None = None
    described: bool = False
    columns: tuple[Described, ...] | None = None
    settled: bool = False
    void: bool = False


Entry = Statement | Portal


Known = tuple[dict[str, Entry], dict[str, Entry]]


@dataclass(eq=False, slots=True)
class Change:
    """One change of a name, which can be confirmed or taken back."""

    table: dict[str, Entry]
    name: str
    new: Entry | None
    old: Entry | None

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


@dataclass(eq=False, slots=True)
class Names:
    """The two name spaces of a session."""

    statements: dict[str, Entry] = field(default_factory=dict)
    portals: dict[str, Entry] = field(default_factory=dict)

    def statement(self, name: str, batch: int) -> Statement | None:
        """The statement, or None while it is unsettled. An unknown one has facts of verb ``unknown``."""
        found = self.statements.get(name)
        if not isinstance(found, Statement) or found.void:
            return Statement(unknown("statement", name), batch)
        return found if found.settled or found.batch == batch else None

    def portal(self, name: str, batch: int) -> Portal | None:
        """The portal, or None while it is unsettled. An unknown one has facts of verb ``unknown``."""
        found = self.portals.get(name)
        if not isinstance(found, Portal) or found.void:
            return Portal(Statement(unknown("portal", name), batch), batch)
        return found if found.settled or found.batch == batch else None

    def prepare(self, name: str, statement: Statement) -> Change:
        """A Parse. Raises AgentError when there are too many."""
        return _put(self.statements, name, statement, STATEMENTS)

    def bind(self, name: str, portal: Portal) -> Change:
        """A Bind. Raises AgentError when there are too many."""
        return _put(self.portals, name, portal, PORTALS)

    def close(self, kind: str, name: str) -> Change:
        """A Close."""
        table = self.statements if kind == "S" else self.portals
        return Change(table, name, None, table.pop(name, None))

    def ran(self, facts: Facts) -> None:
        """A statement is about to run: forget what it could rebind behind the protocol's back."""
        # Reads count too: PREPARE and DECLARE of a read are reads. The parser says which statements name what they make
        # or free; only a body that the statement carries has to be searched. The tables are replaced, not emptied: a
        # change that is taken back later must not put an old meaning of a name back.
        body = facts.text.lower() if facts.command == "do" else ""
        if facts.verb is Verb.UNKNOWN or "prepared" in facts.details or "prepare" in body or "deallocate" in body:
            self.statements = {}
        if facts.verb is Verb.UNKNOWN or "cursor" in facts.details or "declare" in body or "close" in body:
            self.portals = {}

    def known(self) -> Known:
        """Both tables as they are, for ``restore``."""
        return self.statements, self.portals

    def restore(self, known: Known) -> None:
        """What made names be forgotten was refused, so that they mean what they meant."""
        self.statements, self.portals = known

    def simple(self) -> None:
        """A simple query destroys the unnamed statement and the unnamed portal."""
        self.statements.pop("", None)
        self.portals.pop("", None)

    def idle(self, batch: int) -> None:
        """No transaction is open after ``batch``: its portals and older ones are gone."""
        for name in [name for name, portal in self.portals.items() if portal.batch <= batch]:
            del self.portals[name]


def unknown(kind: str, name: str) -> Facts:
    """Facts for running what the gateway did not see being made."""
    reason = f"the {kind} {name!r} was not made through protocol messages of this session, so what it runs is not known"
    return Facts(Verb.UNKNOWN, "execute of an unknown statement", "", reason=reason)


def _put(table: dict[str, Entry], name: str, entry: Entry, limit: int) -> Change:
    if len(table) >= limit and name not in table:
        raise AgentError(
            f"The session holds {limit} prepared statements or portals, which is the most it may.",
            hint="Close those that are no longer needed.",
            code="limit.names",
        )
    change = Change(table, name, entry, table.get(name))
    table[name] = entry
    return change
