"""The agent's direction: bytes in, requests out, nothing forwarded that was not understood.

A simple Query is a request; so is a part of an extended batch up to Sync or Flush. A part is cut when it would grow
over ``PART``; the gateway adds a Flush to a part without an end, so that its replies come and can be drained. COPY data
and Binds over ``PART`` are streamed. After a failure or a refusal everything up to the next Sync is dropped: it is
yielded without operations and forwarded as nothing, and the Sync itself passes. So at most the limit and one part are
held. Each request is forwarded or refused before the next is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Operation, Request, Verb

from . import postgres_messages as pg
from ._frames import HEADER, header
from .postgres_batch import Batch, Classify
from .postgres_exchange import Exchange, Expected, Kind, undo
from .postgres_names import Known, Names

PART = 64 * 1024
"""Bytes above which a part is cut and a Bind is streamed."""

HEAD = HEADER + 2 * (pg.NAME_LIMIT + 1)
"""Bytes at the beginning of a Bind that hold both of its names."""

BATCHED = frozenset((pg.PARSE, pg.BIND, pg.DESCRIBE, pg.EXECUTE, pg.CLOSE, pg.SYNC, pg.FLUSH))
EMPTY = frozenset((pg.SYNC, pg.FLUSH, pg.COPY_DONE, pg.TERMINATE))

OVER_LIMIT = "limit.message"
SHORTER = "Send large values as parameters or with COPY."
OVERSIZED = Facts(Verb.UNKNOWN, "statement over the limit", "")
CALL = Facts(Verb.UNKNOWN, "function call", "", reason="a call by number cannot be understood")


@dataclass(slots=True)
class Plan:
    """What forwarding a request writes and expects.

    ``ends``: the batch is over with it; None: it does not matter. ``oversized``: it cannot be forwarded at all.
    ``known``: the names before it was planned.
    """

    request: Request
    written: bytes
    expected: list[Expected] = field(default_factory=list)
    ends: bool | None = None
    oversized: bool = False
    known: Known | None = None


class Requests:
    """Frames the agent's bytes. ``waiting``: a name is unsettled, ask again when the upstream has answered."""

    def __init__(self, exchange: Exchange, names: Names, classify: Classify, limit: int) -> None:
        self.buffer = bytearray()
        self.waiting = False
        self._exchange = exchange
        self._names = names
        self._classify = classify
        self._limit = limit
        self._scanned = 0
        self._left = 0
        self._dropped = False
        self._batch = 0
        self._plan: Plan | None = None

    def take(self, data: bytes) -> Iterator[Request]:
        """The requests that the agent's bytes complete, lazily. Raises AgentError."""
        self.buffer += data
        return self._requests()

    def forward(self, request: Request) -> bytes:
        """What to write upstream for ``request``, which was the last one yielded."""
        plan = self._planned(request)
        if plan.oversized:
            raise AgentError(request.operations[0].facts.reason, hint=SHORTER, code=OVER_LIMIT)
        self._exchange.expect(plan.expected)
        if plan.ends is not None:
            self._exchange.open = not plan.ends
        return plan.written

    def refused(self, request: Request) -> Plan:
        """``request`` is not forwarded: nothing of its plan happened."""
        plan = self._planned(request)
        undo(plan.expected)
        if plan.known is not None:
            self._names.restore(plan.known)
        self._dropped = True
        return plan

    def _planned(self, request: Request) -> Plan:
        plan, self._plan = self._plan, None
        if plan is None or plan.request is not request:
            raise AgentError("A request was answered twice or out of order.", code="agent.desync")
        return plan

    def _requests(self) -> Iterator[Request]:
        known = self._names.known()
        while (plan := self._next()) is not None:
            self._plan, plan.known = plan, known
            yield plan.request
            known = self._names.known()
        self._names.restore(known)  # a part that must wait for a name is planned again

    def _next(self) -> Plan | None:
        self.waiting = False
        if self._left:
            return self._more()
        if self._exchange.dropping and self._scanned:
            return self._drop(self._scanned)
        while len(self.buffer) >= self._scanned + HEADER:
            tag, length = header(self.buffer, self._scanned)
            self._check(tag, length)
            end = self._scanned + 1 + length
            if self._exchange.dropping and tag not in (pg.SYNC, pg.TERMINATE):
                return self._drop(end)
            if self._scanned and (tag not in BATCHED or end > PART or length - 4 > self._limit):
                return self._part()
            if tag == pg.COPY_DATA:
                return self._copy_data(end)
            if tag == pg.BIND and end > PART:
                return self._large_bind(end)
            if length - 4 > self._limit:
                return self._oversized(tag, end)
            if end > len(self.buffer):
                return None
            if tag not in BATCHED:
                return self._single(tag, end)
            self._scanned = end
            if tag in (pg.SYNC, pg.FLUSH):
                return self._part()
        return None

    def _check(self, tag: int, length: int) -> None:
        known = pg.FRONTEND.get(tag)
        if known is None or known.verdict == "refused":
            name = known.name if known else f"with tag 0x{tag:02x}"
            raise AgentError(f"A message {name} is not accepted here.", hint="The gateway speaks protocol 3.0.")
        if length < 4 or length > pg.LONGEST or (length != 4 and tag in EMPTY):
            raise AgentError(f"A {known.name} message claims an impossible length.")
        if length - 4 > self._limit and tag not in (pg.BIND, pg.COPY_DATA, pg.QUERY, pg.PARSE):
            raise AgentError(
                f"A {known.name} message of {length - 4} bytes is over the limit of {self._limit}.",
                hint=SHORTER,
                code=OVER_LIMIT,
            )

    def _part(self) -> Plan | None:
        """What was scanned, as one part of a batch; None while it must wait for a name."""
        raw = bytes(self.buffer[: self._scanned])
        if self._exchange.copy_open:
            return self._during_copy(raw)
        batch = Batch(self._names, self._classify, self._batch)
        at = 0
        while at < len(raw):
            end = at + 1 + header(raw, at)[1]
            if not batch.add(raw[at:end]):
                self._wait(batch)
                return None
            at = end
        written = batch.written()
        whole = raw[-HEADER:] == pg.SYNC_MESSAGE
        if not whole and raw[-HEADER:] != pg.FLUSH_MESSAGE:
            written += pg.FLUSH_MESSAGE
        self._batch += whole
        return self._made(self._scanned, batch.request(raw), written, batch.expected, ends=whole)

    def _wait(self, batch: Batch) -> None:
        batch.undo()
        self._scanned = 0
        self.waiting = True

    def _large_bind(self, end: int) -> Plan | None:
        if len(self.buffer) < HEAD:
            return None
        self._refuse_during_copy()
        raw = bytes(self.buffer[:HEAD])
        batch = Batch(self._names, self._classify, self._batch)
        if not batch.add_head(raw):
            self._wait(batch)
            return None
        self._left, self._dropped = end - HEAD, False
        return self._made(HEAD, batch.request(raw), raw, batch.expected, ends=False)

    def _single(self, tag: int, end: int) -> Plan:
        raw = bytes(self.buffer[:end])
        if tag == pg.TERMINATE:
            return self._made(end, Request(raw, farewell=True), raw)
        if tag in (pg.COPY_DONE, pg.COPY_FAIL):
            self._demand_copy()
            self._exchange.copy_ended()
            return self._made(end, Request(raw, continues=True), raw)
        self._refuse_during_copy()
        facts = (CALL,) if tag == pg.CALL else self._classify(pg.query_text(raw[HEADER:]))
        operations = [Operation(fact, raw[HEADER:] if tag == pg.CALL else b"") for fact in facts]
        self._names.simple()
        for fact in facts:
            self._names.ran(fact)
        kind = Kind.CALL if tag == pg.CALL else Kind.QUERY
        expected = Expected(kind, self._batch, operations)
        self._batch += 1
        return self._made(end, Request(raw, tuple(operations)), raw, [expected], ends=True)

    def _oversized(self, tag: int, end: int) -> Plan:
        """A statement whose text is too long to hold can only be refused; the text itself is dropped."""
        self._refuse_during_copy()
        self._left, self._dropped = end - HEADER, True
        operation = Operation(
            replace(OVERSIZED, reason=f"the statement's text is over the limit of {self._limit} bytes")
        )
        request = Request(bytes(self.buffer[:HEADER]), (operation,))
        plan = self._made(HEADER, request, b"", ends=tag == pg.QUERY)
        plan.oversized = True
        return plan

    def _copy_data(self, end: int) -> Plan:
        self._demand_copy()
        size = min(end, len(self.buffer))
        self._left, self._dropped = end - size, False
        raw = bytes(self.buffer[:size])
        return self._made(size, Request(raw, continues=True), raw)

    def _more(self) -> Plan | None:
        """More of a message that is streamed or dropped."""
        size = min(self._left, len(self.buffer))
        if not size:
            return None
        self._left -= size
        raw = bytes(self.buffer[:size])
        return self._made(size, Request(raw, continues=not self._dropped), b"" if self._dropped else raw)

    def _drop(self, end: int) -> Plan:
        size = min(end, len(self.buffer))
        self._left, self._dropped = end - size, True
        return self._made(size, Request(bytes(self.buffer[:size])), b"")

    def _during_copy(self, raw: bytes) -> Plan:
        """The upstream ignores Sync and Flush while it reads COPY data, and nothing else fits there."""
        if raw not in (pg.SYNC_MESSAGE, pg.FLUSH_MESSAGE):
            self._refuse_during_copy()
        self._exchange.lost += raw == pg.SYNC_MESSAGE
        return self._made(len(raw), Request(raw), raw)

    def _demand_copy(self) -> None:
        if not self._exchange.copying:
            raise AgentError("COPY data arrived although no COPY FROM STDIN is under way.")

    def _refuse_during_copy(self) -> None:
        if self._exchange.copy_open:
            raise AgentError("A COPY FROM STDIN is under way; only its data may be sent.")
        self._exchange.copying = False

    def _made(
        self, size: int, request: Request, written: bytes, expected: Sequence[Expected] = (), ends: bool | None = None
    ) -> Plan:
        del self.buffer[:size]
        self._scanned = 0
        return Plan(request, written, list(expected), ends)
