"""One part of a batch of the extended protocol: the operations in it and the replies it will have.

A part runs up to a Sync or Flush, or is cut for size. Why this file: what is judged must be what runs. Each Execute is
an operation with the facts of its portal's statement; a statement that is parsed or bound but not executed here is an
operation of phase ``prepare``, because planning alone may run functions. An Execute whose columns were not described
gets a Describe of the gateway's own, so that masks always know the columns of that very plan.
"""

from __future__ import annotations

from tidegate.model.operation import STREAMED, Operation, Request

from . import postgres_messages as pg
from ._frames import HEADER
from .postgres_exchange import Expected, Kind, undo
from .postgres_named import facts_of, runs
from .postgres_names import Change, Names, Portal, Statement, made_of


class Batch:
    """Takes the messages in ``raw`` one by one; ``add`` gives False while a name is unsettled: the part must wait."""

    def __init__(self, names: Names, number: int, raw: bytes) -> None:
        self.expected: list[Expected] = []
        self._names = names
        self._number = number
        self._raw = raw
        self._copied = 0
        self._pieces: list[bytes] = []
        self._prepared: list[tuple[Expected, Statement, Operation]] = []
        self._ran: set[Statement] = set()
        self._streamed: Operation | None = None
        self._permitted: Operation | None = None

    def add(self, at: int, end: int) -> bool:
        """Take in the message at ``at``. Raises AgentError if it is malformed."""
        tag = self._raw[at]
        if tag == pg.BIND:
            return self._bind(at, end)
        if tag == pg.EXECUTE:
            return self._execute(at, end)
        if tag == pg.DESCRIBE:
            return self._describe(at, end)
        if tag == pg.SYNC:
            self._expect(Kind.SYNC)
        elif tag == pg.PARSE:
            return self._parse(at, end)
        elif tag == pg.CLOSE:
            portal, name = pg.target(self._raw, at + HEADER, end)
            self._expect(Kind.CLOSE, None, self._names.close(portal, name))
        return True

    def full(self, at: int) -> bool:
        """Whether the message at ``at`` begins another part: what runs under an earlier permit is not judged again."""
        if self._permitted is None:
            return False
        tag = self._raw[at]
        return tag == pg.PARSE or tag == pg.BIND or tag == pg.EXECUTE

    def add_head(self) -> bool:
        """Take in the head of a Bind that is too large to hold; what it is bound for is judged now."""
        portal, source, _ = pg.bind_names(self._raw, HEADER, len(self._raw))
        statement = self._names.statement(source, self._number)
        if statement is None:
            return False
        self._hand_over(0, source, statement)
        operation = self._streamed = Operation(statement.facts, STREAMED)
        bound = Portal(statement, self._number, judged=operation)
        self._expect(Kind.BIND, bound, self._names.bind(portal, bound))
        return True

    def request(self, raw: bytes) -> Request:
        """The part as a request; ``raw`` are its bytes as the agent sent them. Called once."""
        for expected, statement, operation in self._prepared:
            if statement not in self._ran:
                self._ran.add(statement)
                expected.operations.append(operation)
        operations = [] if self._streamed is None else [self._streamed]
        for expected in self.expected:
            for operation in expected.operations:
                if operation is not self._permitted:
                    operations.append(operation)
        continues = self._permitted is not None and not operations
        return Request(raw, tuple(operations), continues=continues, divisible=True, headed=True)

    def written(self, end: int) -> bytes:
        """What goes upstream of the messages up to ``end``: these and the gateway's own."""
        rest = self._raw if not self._copied and end == len(self._raw) else self._raw[self._copied : end]
        if not self._pieces:
            return rest
        return b"".join((*self._pieces, rest))

    def undo(self) -> None:
        """Nothing of it happened."""
        undo(self.expected)

    def _parse(self, at: int, end: int) -> bool:
        name, text, types = pg.parse_parts(self._raw, at + HEADER, end)
        statement = made_of(facts_of(self._names.classify, text), self._number, self._raw[at:end], types)
        operation = self._asked(statement, b"", "prepare")
        if operation is None:
            return False
        expected = self._expect(Kind.PARSE, None, self._names.prepare(name, statement))
        self._prepared.append((expected, statement, operation))
        return True

    def _bind(self, at: int, end: int) -> bool:
        name, source, parameters = pg.bind_parts(self._raw, at + HEADER, end)
        statement = self._names.statement(source, self._number)
        if statement is None:
            return False
        if self._names.loose:
            self._hand_over(at, source, statement)
        operation = self._asked(statement, parameters, "prepare")
        if operation is None:
            return False
        portal = Portal(statement, self._number, parameters)
        expected = self._expect(Kind.BIND, portal, self._names.bind(name, portal))
        self._prepared.append((expected, statement, operation))
        return True

    def _describe(self, at: int, end: int) -> bool:
        of_portal, name = pg.target(self._raw, at + HEADER, end)
        if not of_portal:
            self._expect(Kind.DESCRIBE)
            return True
        portal = self._names.portal(name, self._number)
        if portal is None:
            return False
        portal.described = True
        self._expect(Kind.DESCRIBE, portal)
        return True

    def _execute(self, at: int, end: int) -> bool:
        name, portioned = pg.execute_parts(self._raw, at + HEADER, end)
        portal = self._names.portal(name, self._number)
        if portal is None:
            return False
        if not portal.described:
            portal.described = True
            self._expect(Kind.DESCRIBE, portal).hidden = True
            self._insert(at, pg.describe_portal(name))
        statement = portal.statement
        operation = portal.judged or self._asked(statement, portal.parameters, "execute")
        if operation is None:
            return False
        if portal.judged is not None:
            portal.judged = None
            self._permitted = operation
        if operation.given is None:
            operation.given = portal.counted() if portioned else portal.given
        expected = self._expect(Kind.EXECUTE, portal)
        expected.operations.append(operation)
        self._ran.add(statement)
        if not statement.plain:
            ran = operation.facts if runs(statement.facts) else statement.facts
            expected.change = self._names.ran(ran, self._number)
        return True

    def _hand_over(self, at: int, name: str, statement: Statement) -> None:
        """Where code may have given the name another meaning, make it mean again what was judged."""
        if self._names.loose and name and statement.parse:
            self._insert(at, pg.close_statement(name) + statement.parse)
            self._expect(Kind.CLOSE).hidden = True
            self._expect(Kind.PARSE).hidden = True

    def _insert(self, at: int, message: bytes) -> None:
        """Put a message of the gateway's own before the one at ``at``."""
        self._pieces += (self._raw[self._copied : at], message)
        self._copied = at

    def _asked(self, statement: Statement, parameters: bytes, phase: str) -> Operation | None:
        """The statement as an operation; None while the name that it runs is unsettled."""
        if statement.plain:
            return Operation(statement.facts, parameters, phase, declared=statement.types)
        operation = self._names.asked(statement.facts, self._number, parameters, phase)
        if operation is not None:
            operation.declared = statement.types
        return operation

    def _expect(self, kind: int, portal: Portal | None = None, change: Change | None = None) -> Expected:
        expected = Expected(kind, self._number, portal, change)
        self.expected.append(expected)
        return expected
