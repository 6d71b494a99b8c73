"""The agent's direction: bytes in, requests out, nothing forwarded that was not understood.

A simple Query is a request; so is a part of an extended batch up to Sync or Flush. A part is cut when it would grow
over ``PART``; the gateway adds a Flush to a part without an end, so that its replies come and can be drained. COPY data
and Binds over ``PART`` are streamed. After a failure or a refusal everything up to the next Sync is dropped: it is
yielded without operations and forwarded as nothing, and the Sync itself passes. So at most the limit and one part are
held. Each request is forwarded or refused before the next is made.

What comes whole, as nearly everything does, is not copied into the buffer: ``_whole`` only looks where it ends, and
what is made of it is made by the same code as of what is buffered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from librt.strings import read_i32_be

from tidegate.errors import AgentError
from tidegate.model.operation import Facts, Operation, Request, Verb

from . import postgres_messages as pg
from ._frames import HEADER, bodies, header, run
from .postgres_batch import Batch
from .postgres_exchange import Exchange, Expected, Kind, undo
from .postgres_named import plain, runs
from .postgres_names import Change, Known, Names

PART: Final = 64 * 1024
"""Bytes above which a part is cut and a Bind is streamed."""

HEAD: Final = HEADER + 2 * (pg.NAME_LIMIT + 1)
"""Bytes at the beginning of a Bind that hold both of its names."""

BATCHED = frozenset((pg.PARSE, pg.BIND, pg.DESCRIBE, pg.EXECUTE, pg.CLOSE, pg.SYNC, pg.FLUSH))
FILLED = frozenset((pg.PARSE, pg.BIND, pg.DESCRIBE, pg.EXECUTE, pg.CLOSE))
COPIED = frozenset((pg.COPY_DATA, pg.COPY_DONE, pg.COPY_FAIL))
EMPTY = frozenset((pg.SYNC, pg.FLUSH, pg.COPY_DONE, pg.TERMINATE))

OVER_LIMIT = "limit.message"
SHORTER = "Send large values as parameters or with COPY."
OVERSIZED = Facts(Verb.UNKNOWN, "statement over the limit", "")
CALL = Facts(Verb.UNKNOWN, "function call", "", reason="a call by number cannot be understood")


class Plan:
    """What forwarding a request writes and expects.

    ``ends``: the batch is over with it; None: it does not matter. ``oversized``: it cannot be forwarded at all.
    ``known``: the names before it was planned.
    """

    __slots__ = ("ends", "expected", "known", "oversized", "request", "written")

    def __init__(self, request: Request, written: bytes, expected: list[Expected], ends: bool | None) -> None:
        self.request: Final = request
        self.written: Final = written
        self.expected: Final = expected
        self.ends: Final = ends
        self.oversized = False
        self.known: Known | None = None


class Requests:
    """Frames the agent's bytes. ``waiting``: a name is unsettled, ask again when the upstream has answered."""

    def __init__(self, exchange: Exchange, names: Names, limit: int) -> None:
        self.waiting = False
        self._fresh = b""
        self._at = 0
        self._buffer = bytearray()
        self._exchange = exchange
        self._names = names
        self._limit = limit
        self._scanned = 0
        self._left = 0
        self._dropped = False
        self._until = 0
        self._begun = False
        self._batch = 0
        self._plan: Plan | None = None

    @property
    def buffered(self) -> int:
        """Bytes that made no request yet."""
        return len(self._fresh) - self._at + len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take in bytes of the agent."""
        if not data:
            return
        if not self._fresh and not self._buffer:
            self._fresh = data
        elif self._fresh or self._until or len(data) < len(self._buffer):
            self._spill()
            self._buffer += data
        else:  # most of it is new, so that putting it together costs little
            self._fresh = bytes(self._buffer) + data
            self._buffer.clear()
            self._scanned = 0

    def next(self) -> Request | None:
        """The next request that is complete. Raises AgentError."""
        known = self._names.known()
        plan = self._next()
        if plan is None:
            self._names.restore(known)  # a part that must wait for a name is planned again
            return None
        self._plan, plan.known = plan, known
        return plan.request

    def forward(self, request: Request) -> bytes:
        """What to write upstream for ``request``, which was the last one yielded."""
        plan = self._planned(request)
        if plan.oversized:
            raise AgentError(request.operations[0].facts.reason, hint=SHORTER, code=OVER_LIMIT)
        self._exchange.expect(plan.expected)
        if plan.ends is not None:
            self._exchange.open = not plan.ends or self._exchange.skipping
        return plan.written

    def refused(self, request: Request) -> Plan:
        """``request`` is not forwarded: nothing of its plan happened."""
        plan = self._planned(request)
        undo(plan.expected)
        if plan.known is not None:
            self._names.restore(plan.known)
        self._dropped = True
        return plan

    def cut(self, request: Request, operation: Operation) -> None:
        """``request`` is neither forwarded nor refused: next comes what stands before ``operation``, then the rest."""
        plan = self._planned(request)
        undo(plan.expected)
        if plan.known is not None:
            self._names.restore(plan.known)
        self._batch -= bool(plan.ends)
        self._until = _before(plan, operation)
        self._begun = not self._until or not request.headed
        self._spill()
        self._buffer[:0] = request.raw

    @property
    def undecided(self) -> bool:
        """Whether a request with replies of its own is neither forwarded nor refused yet."""
        return self._plan is not None and bool(self._plan.expected)

    def _planned(self, request: Request) -> Plan:
        plan, self._plan = self._plan, None
        if plan is None or plan.request is not request:
            raise AgentError("A request was answered twice or out of order.", code="agent.desync")
        return plan

    def _spill(self) -> None:
        """What came in is looked at as part of the buffer."""
        self._buffer += self._fresh[self._at :]
        self._fresh, self._at = b"", 0

    def _next(self) -> Plan | None:
        self.waiting = False
        if self._fresh:
            raw = self._whole()
            if raw:
                return self._query(raw) if raw[0] == pg.QUERY else self._part(raw)
            self._spill()
        return self._from_buffer()

    def _whole(self) -> bytes:
        """A query, or a part of a batch with its end, at the beginning of what came in; empty if it is unusual."""
        data, start = self._fresh, self._at
        if self._left or self._exchange.dropping:
            return b""
        at, last = start, min(len(data), start + PART)
        while at + HEADER <= last:
            tag = data[at]
            length: int = read_i32_be(data, at + 1)
            end = at + 1 + length
            if length < 4 or length - 4 > self._limit or end > last:
                break
            if (tag == pg.QUERY and at == start) or ((tag == pg.SYNC or tag == pg.FLUSH) and length == 4):
                return data if start == 0 and end == len(data) else data[start:end]
            if tag != pg.BIND and tag != pg.EXECUTE and tag != pg.DESCRIBE and tag != pg.PARSE and tag != pg.CLOSE:
                break
            at = end
        return b""

    def _from_buffer(self) -> Plan | None:
        """What the buffer begins with."""
        if self._left or (self._exchange.dropping and self._scanned):
            return self._more() if self._left else self._drop(self._scanned)
        while len(self._buffer) >= self._scanned + HEADER:
            tag, length = header(self._buffer, self._scanned)
            if tag not in FILLED or length < 4 or length - 4 > self._limit:
                self._check(tag, length)
            end = self._scanned + 1 + length
            if self._exchange.dropping and tag not in (pg.SYNC, pg.TERMINATE):
                return self._drop(end)
            if self._scanned and (tag not in BATCHED or end > PART or length - 4 > self._limit):
                return self._part(bytes(self._buffer[: self._scanned]))
            if tag not in BATCHED:
                return self._alone(tag, length, end)
            if tag == pg.BIND and end > PART:
                return self._large_bind(end)
            if length - 4 > self._limit:
                return self._oversized(tag, end)
            if end > len(self._buffer):
                return None
            self._scanned = end
            if tag in (pg.SYNC, pg.FLUSH) or end == self._until:
                return self._part(bytes(self._buffer[:end]))
        return None

    def _alone(self, tag: int, length: int, end: int) -> Plan | None:
        """A message that is no part of a batch."""
        if tag in COPIED and not self._exchange.copying:
            return self._drop(end)  # the server ignores it too: its COPY failed, or is over
        if tag == pg.COPY_DATA:
            return self._copy_data(end)
        if length - 4 > self._limit:
            return self._oversized(tag, end)
        return self._single(tag, bytes(self._buffer[:end])) if end <= len(self._buffer) else None

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

    def _part(self, raw: bytes) -> Plan | None:
        """One part of a batch; None while it must wait for a name."""
        if self._exchange.copy_open:
            return self._during_copy(raw)
        batch = Batch(self._names, self._batch, raw)
        at = last = 0
        while at < len(raw) and not batch.full(at):
            length: int = read_i32_be(raw, at + 1)
            last, at = at, at + 1 + length
            if not batch.add(last, at):
                self._wait(batch)
                return None
        written = batch.written(at)
        if at < len(raw):
            raw = raw[:at]
        whole = raw[last] == pg.SYNC
        if not whole and raw[last] != pg.FLUSH:
            written += pg.FLUSH_MESSAGE
        if whole:
            self._batch += 1
        request = batch.request(raw)
        request.headed = not self._begun
        return self._made(len(raw), request, written, batch.expected, ends=whole)

    def _wait(self, batch: Batch) -> None:
        batch.undo()
        self._scanned = 0
        self.waiting = True

    def _large_bind(self, end: int) -> Plan | None:
        if len(self._buffer) < HEAD:
            return None
        self._refuse_during_copy()
        raw = bytes(self._buffer[:HEAD])
        size = pg.bind_names(raw, HEADER, HEAD)[2]  # what follows is looked at as it streams in
        raw = raw[:size]
        batch = Batch(self._names, self._batch, raw)
        if not batch.add_head():
            self._wait(batch)
            return None
        self._left, self._dropped = end - size, False
        request = batch.request(raw)
        request.divisible = False
        return self._made(size, request, batch.written(size), batch.expected, ends=False)

    def _single(self, tag: int, raw: bytes) -> Plan | None:
        if tag == pg.QUERY:
            return self._query(raw)
        if tag == pg.TERMINATE:
            return self._made(len(raw), Request(raw, farewell=True), raw)
        if tag in (pg.COPY_DONE, pg.COPY_FAIL):
            self._exchange.copy_ended()
            return self._made(len(raw), Request(raw, continues=True), raw)
        self._refuse_during_copy()
        return self._judged(raw, (CALL,), raw[HEADER:], Expected(Kind.CALL, self._batch))

    def _query(self, raw: bytes) -> Plan | None:
        self._refuse_during_copy()
        return self._judged(raw, self._names.classify(pg.query_text(raw)), b"", Expected(Kind.QUERY, self._batch))

    def _judged(self, raw: bytes, facts: Sequence[Facts], parameters: bytes, expected: Expected) -> Plan | None:
        """A message that runs by itself; None while it must wait for a name."""
        if not self._planned_all(facts, parameters, expected):
            undo([expected])
            self.waiting = True
            return None
        self._names.simple()
        self._batch += 1
        return self._made(len(raw), Request(raw, tuple(expected.operations)), raw, [expected], ends=True)

    def _planned_all(self, facts: Sequence[Facts], parameters: bytes, expected: Expected) -> bool:
        """Make the operations of a query and what they make of the names; False while one of these is unsettled."""
        changes: list[Change | None] = []
        for fact in facts:
            if plain(fact):
                expected.operations.append(Operation(fact, parameters))
                changes.append(None)
                continue
            expected.changes = changes
            operation = self._names.asked(fact, self._batch, parameters)
            if operation is None:
                return False
            expected.operations.append(operation)
            changes.append(self._names.ran(operation.facts if runs(fact) else fact, self._batch))
        return True

    def _oversized(self, tag: int, end: int) -> Plan:
        """A statement whose text is too long to hold can only be refused; the text itself is dropped."""
        self._refuse_during_copy()
        self._left, self._dropped = end - HEADER, True
        operation = Operation(
            replace(OVERSIZED, reason=f"the statement's text is over the limit of {self._limit} bytes")
        )
        request = Request(bytes(self._buffer[:HEADER]), (operation,))
        plan = self._made(HEADER, request, b"", ends=tag == pg.QUERY)
        plan.oversized = True
        return plan

    def _copy_data(self, end: int) -> Plan:
        """All that is there whole goes on at once: many agents send a message a row; a large one is streamed.

        Where no COPY is under way, it failed or is over: then the server ignores its data, and so it is dropped.
        """
        if not self._exchange.copying:
            return self._drop(end)
        size, _ = run(bytes(self._buffer), 0, pg.COPY_DATA)
        if not size:
            size = min(end, len(self._buffer))
            self._left, self._dropped = end - size, False
        raw = bytes(self._buffer[:size])
        return self._made(size, Request(raw, continues=True, unframed=bodies), raw)

    def _more(self) -> Plan | None:
        """More of a message that is streamed or dropped."""
        size = min(self._left, len(self._buffer))
        if not size:
            return None
        self._left -= size
        raw = bytes(self._buffer[:size])
        return self._made(size, Request(raw, continues=not self._dropped), b"" if self._dropped else raw)

    def _drop(self, end: int) -> Plan:
        size = min(end, len(self._buffer))
        self._left, self._dropped = end - size, True
        return self._made(size, Request(bytes(self._buffer[:size])), b"")

    def _during_copy(self, raw: bytes) -> Plan:
        """The upstream ignores Sync and Flush while it reads COPY data, and nothing else fits there."""
        if raw not in (pg.SYNC_MESSAGE, pg.FLUSH_MESSAGE):
            self._refuse_during_copy()
        self._exchange.lost += raw == pg.SYNC_MESSAGE
        return self._made(len(raw), Request(raw), raw)

    def _refuse_during_copy(self) -> None:
        if self._exchange.copy_open:
            raise AgentError("A COPY FROM STDIN is under way; only its data may be sent.")
        self._exchange.copying = False

    def _made(
        self,
        size: int,
        request: Request,
        written: bytes,
        expected: list[Expected] | None = None,
        ends: bool | None = None,
    ) -> Plan:
        if not self._fresh:
            del self._buffer[:size]
        elif size == len(self._fresh) - self._at:
            self._fresh, self._at = b"", 0
        else:
            self._at += size
        self._begun = size == self._until
        self._scanned = self._until = 0
        return Plan(request, written, [] if expected is None else expected, ends)


def _before(plan: Plan, operation: Operation) -> int:
    """Where the messages of ``operation`` begin: at the last Parse, else Bind, behind the operation before it."""
    raw, at, begin = plan.request.raw, 0, -1
    replies = iter([reply for reply in plan.expected if not reply.hidden])
    while at < len(raw):
        asked = () if raw[at] == pg.FLUSH else next(replies).operations
        if raw[at] == pg.PARSE or (raw[at] == pg.BIND and (begin < 0 or raw[begin] == pg.BIND)):
            begin = at
        if operation in asked:
            return at if begin < 0 else begin
        begin = -1 if asked else begin
        at += 1 + header(raw, at)[1]
    raise AgentError("A request was cut at an operation that is not in it.", code="agent.desync")
