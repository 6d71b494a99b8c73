"""One part of a batch of the extended protocol: the operations in it and the replies it will have.

A part runs up to a Sync or Flush, or is cut for size. Why this file: what is judged must be what runs. Each Execute is
an operation with the facts of its portal's statement; a statement that is parsed or bound but not executed here is an
operation of phase ``prepare``, because planning alone may run functions. An Execute whose columns were not described
gets a Describe of the gateway's own, so that masks always know the columns of that very plan.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.model.operation import STREAMED, Facts, Operation, Request, Verb

from . import postgres_messages as pg
from .postgres_exchange import Expected, Kind, undo
from .postgres_names import Change, Names, Portal, Statement

Classify = Callable[[str], tuple[Facts, ...]]


def facts_of(classify: Classify, text: str) -> Facts:
    """Facts of a text that must be one statement."""
    facts = classify(text)
    if len(facts) == 1:
        return facts[0]
    if not facts:
        return Facts(Verb.SESSION, "empty", text, effect=False)
    return Facts(Verb.UNKNOWN, "several statements in one Parse", text, reason="the text holds several statements")


class Batch:
    """Takes a part's messages one by one; ``add`` gives False while a name is unsettled, and the part must wait."""

    def __init__(self, names: Names, classify: Classify, number: int) -> None:
        self.expected: list[Expected] = []
        self._names = names
        self._classify = classify
        self._number = number
        self._pieces: list[bytes] = []
        self._prepared: list[tuple[Expected, Statement, bytes]] = []
        self._ran: set[Statement] = set()
        self._judged: list[Operation] = []
        self._permitted: set[Operation] = set()
        self._take: dict[int, Callable[[bytes], bool]] = {
            pg.PARSE: self._parse,
            pg.BIND: self._bind,
            pg.DESCRIBE: self._describe,
            pg.EXECUTE: self._execute,
            pg.CLOSE: self._close,
            pg.SYNC: self._sync,
            pg.FLUSH: lambda _: True,
        }

    def add(self, raw: bytes) -> bool:
        """Take in one message. Raises AgentError if it is malformed."""
        taken = self._take[raw[0]](raw[5:])
        self._pieces.append(raw)
        return taken

    def add_head(self, raw: bytes) -> bool:
        """Take in the head of a Bind that is too large to hold; what it is bound for is judged now."""
        portal, source, _ = pg.bind_names(raw[5:])
        statement = self._names.statement(source, self._number)
        if statement is None:
            return False
        operation = Operation(statement.facts, STREAMED)
        bound = Portal(statement, self._number, judged=operation)
        self._expect(Kind.BIND, portal=bound, change=self._names.bind(portal, bound))
        self._judged.append(operation)
        self._pieces.append(raw)
        return True

    def request(self, raw: bytes) -> Request:
        """The part as a request; ``raw`` are its bytes as the agent sent them. Called once."""
        for expected, statement, parameters in self._prepared:
            if statement not in self._ran:
                self._ran.add(statement)
                expected.operations.append(Operation(statement.facts, parameters, "prepare"))
        asked = [operation for expected in self.expected for operation in expected.operations]
        operations = (*self._judged, *(operation for operation in asked if operation not in self._permitted))
        return Request(raw, operations, continues=bool(self._permitted) and not operations)

    def written(self) -> bytes:
        """What goes upstream: the messages and the gateway's own Describes."""
        return b"".join(self._pieces)

    def undo(self) -> None:
        """Nothing of it happened."""
        undo(self.expected)

    def _parse(self, body: bytes) -> bool:
        name, text = pg.parse_parts(body)
        statement = Statement(facts_of(self._classify, text), self._number)
        expected = self._expect(Kind.PARSE, change=self._names.prepare(name, statement))
        self._prepared.append((expected, statement, b""))
        return True

    def _bind(self, body: bytes) -> bool:
        name, source, parameters = pg.bind_parts(body)
        statement = self._names.statement(source, self._number)
        if statement is None:
            return False
        portal = Portal(statement, self._number, parameters)
        expected = self._expect(Kind.BIND, portal=portal, change=self._names.bind(name, portal))
        self._prepared.append((expected, statement, parameters))
        return True

    def _describe(self, body: bytes) -> bool:
        kind, name = pg.target(body)
        if kind == "S":
            self._expect(Kind.DESCRIBE)
            return True
        portal = self._names.portal(name, self._number)
        if portal is None:
            return False
        portal.described = True
        self._expect(Kind.DESCRIBE, portal=portal)
        return True

    def _execute(self, body: bytes) -> bool:
        name = pg.execute_portal(body)
        portal = self._names.portal(name, self._number)
        if portal is None:
            return False
        if not portal.described:
            portal.described = True
            self._expect(Kind.DESCRIBE, portal=portal).hidden = True
            self._pieces.append(pg.describe_portal(name))
        operation = portal.judged or Operation(portal.statement.facts, portal.parameters)
        if portal.judged is not None:
            portal.judged = None
            self._permitted.add(operation)
        self._expect(Kind.EXECUTE, portal=portal).operations.append(operation)
        self._ran.add(portal.statement)
        self._names.ran(portal.statement.facts)
        return True

    def _close(self, body: bytes) -> bool:
        self._expect(Kind.CLOSE, change=self._names.close(*pg.target(body)))
        return True

    def _sync(self, _body: bytes) -> bool:
        self._expect(Kind.SYNC)
        return True

    def _expect(self, kind: Kind, portal: Portal | None = None, change: Change | None = None) -> Expected:
        expected = Expected(kind, self._number, portal=portal, change=change)
        self.expected.append(expected)
        return expected
