"""The upstream's direction: bytes in, what the agent may see out.

Whole messages are walked by their headers and unchanged spans leave as they came; with nothing to mask, the very bytes.
Rewritten are rows with a masked column, errors and notices that must conceal, notifications, and replies to messages of
the gateway's own, which are dropped. When a limit is reached, the chunk that reaches it is withheld and the result ends
in an error; what the upstream still sends for the batch is swallowed up to ReadyForQuery, which passes.
Everything unexpected raises ResourceError, which ends the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.errors import ResourceError
from tidegate.model.operation import Column, Operation, Outcome, Results, Shape, Transform, Verb

from . import postgres_messages as pg
from ._frames import HEADER, NULL, Spans, header, rewrite, run
from .postgres_exchange import Exchange, Expected, Kind
from .postgres_masks import FindColumn, masks
from .postgres_names import Names

HELD = 16 * 1024 * 1024
"""Bytes of one message that is assembled before it passes."""

STREAM = 64 * 1024
"""Bytes above which a row without masks is passed on before it is complete."""

RESULT = (Kind.QUERY, Kind.EXECUTE)
DATA_ROW, COPY_DATA, READY = b"DdZ"
UNCUT = b"ZSA"
WITHHELD = "details are withheld: the statement touches masked data"
OVER = pg.report(
    b"E",
    "ERROR",
    "54000",
    "the limit on rows is reached; the rest of the result is withheld",
    hint="Ask for fewer rows.",
)


class Responses:
    """Walks the upstream's bytes. ``partial``: the agent has a message's beginning but not yet its end."""

    def __init__(self, exchange: Exchange, names: Names, column: FindColumn) -> None:
        self._exchange = exchange
        self._names = names
        self._column = column
        self._held = bytearray()
        self._need = 0
        self._left = 0
        self._cut = False
        self._copying_out = False
        self._results: Results
        self._take: dict[int, Callable[[bytes], bytes | None]] = {
            ord("1"): lambda _: self._confirmed(Kind.PARSE),
            ord("2"): lambda _: self._confirmed(Kind.BIND),
            ord("3"): lambda _: self._confirmed(Kind.CLOSE),
            ord("t"): self._parameters,
            ord("T"): self._description,
            ord("n"): lambda _: self._described(self._exchange.front(Kind.DESCRIBE), None),
            ord("C"): lambda body: self._complete(Outcome("ok", "", _text(body))),
            ord("I"): lambda _: self._complete(Outcome("ok")),
            ord("s"): self._suspended,
            ord("Z"): self._ready,
            ord("E"): self._error,
            ord("N"): self._notice,
            ord("A"): self._notification,
            ord("S"): self._setting,
            ord("G"): self._copy_in,
            ord("H"): self._copy_out,
            ord("c"): self._copy_done,
            ord("V"): self._called,
        }

    @property
    def partial(self) -> bool:
        """Whether nothing may be put into the stream now."""
        return self._left > 0

    def take(self, data: bytes, results: Results) -> bytes:
        """What the agent may see of ``data``. Raises ResourceError."""
        self._results = results
        self._exchange.report(results)
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return b""
            data = bytes(self._held)
            self._held.clear()
        spans = Spans(data)
        at = self._rest(spans, data)
        while (end := self._step(spans, data, at)) > at:
            at = end
        self._held += data[at:]
        return spans.finish(at)

    # framing

    def _rest(self, spans: Spans, data: bytes) -> int:
        """The rest of a message that is streamed."""
        size = min(self._left, len(data))
        self._left -= size
        if size and self._cut:
            spans.replace(0, size, b"")
        return size

    def _step(self, spans: Spans, data: bytes, at: int) -> int:
        """Take in what begins at ``at``; where it ends, or ``at`` when it is not complete."""
        if len(data) - at < HEADER:
            self._need = HEADER
            return at
        tag, length = header(data, at)
        if not 4 <= length <= pg.LONGEST:
            raise ResourceError("The upstream sent a message that claims an impossible length.")
        end = at + 1 + length
        if tag in (DATA_ROW, COPY_DATA):
            stop, count = run(data, at, tag)
            if count:
                self._rows(spans, data, at, stop, count)
                return stop
            if length > STREAM and self._begin(spans, data, at, end):
                return len(data)
        if end > len(data):
            return self._incomplete(at, length)
        self._message(spans, tag, data, at, end)
        return end

    def _incomplete(self, at: int, length: int) -> int:
        if length > HELD:
            raise ResourceError("The upstream sent a message that is too large to be examined.")
        self._need = 1 + length
        return at

    def _message(self, spans: Spans, tag: int, data: bytes, at: int, end: int) -> None:
        take = self._take.get(tag)
        if take is None:
            raise ResourceError(f"The upstream sent a message with tag 0x{tag:02x}, which has no place here.")
        new = take(data[at + HEADER : end])
        if self._cut and tag not in UNCUT:
            new = b""
        if tag == READY:
            self._cut = self._copying_out = False
        if new is not None:
            spans.replace(at, end, new)

    # rows

    def _rows(self, spans: Spans, data: bytes, at: int, end: int, count: int) -> None:
        """A run of whole rows, or of COPY data."""
        reply = self._result(data[at])
        if self._cut:
            spans.replace(at, end, b"")
            return
        transforms = None if self._copying_out else self._masks(reply)
        masked = [0] * len(transforms or ())
        new = rewrite(data, at, end, transforms, masked) if transforms is not None else None
        if not self._results.rows(self._operation(reply), count, end - at, masked):
            self._stop(spans, at, end, reply)
        elif new is not None:
            spans.replace(at, end, new)

    def _begin(self, spans: Spans, data: bytes, at: int, end: int) -> bool:
        """Stream a large row if nothing in it is masked."""
        reply = self._result(data[at])
        if not self._cut and not self._copying_out and self._masks(reply) is not None:
            return False
        self._left = end - len(data)
        if self._cut:
            spans.replace(at, len(data), b"")
        elif not self._results.rows(self._operation(reply), 1, end - at, ()):
            self._stop(spans, at, len(data), reply)
        return True

    def _result(self, tag: int) -> Expected:
        if (tag == COPY_DATA) is not self._copying_out:
            raise ResourceError("The upstream sent rows of a kind that it did not announce.")
        return self._exchange.front(*RESULT)

    def _stop(self, spans: Spans, at: int, end: int, reply: Expected) -> None:
        """A limit is reached: the agent sees an error, and the rest of the batch is swallowed on both sides."""
        spans.replace(at, end, OVER)
        self._cut = True
        synced = any(due.kind is Kind.SYNC for due in self._exchange.due)
        self._exchange.discarding = reply.kind is Kind.EXECUTE and not synced

    def _masks(self, reply: Expected) -> Sequence[Transform | None] | None:
        if not reply.asked:
            if reply.portal is None or reply.portal.columns is None:
                raise ResourceError("The upstream sent rows that it did not describe.")
            self._ask(reply, reply.portal.columns)
        return reply.masks

    def _ask(self, reply: Expected, described: Sequence[pg.Described]) -> None:
        """Ask for the masks of a result set."""
        reply.masks = masks(self._results, self._operation(reply), described, self._column)
        reply.asked = True

    def _operation(self, reply: Expected) -> Operation:
        """The operation a result belongs to; only a text nobody understood may give more results than expected."""
        operation = reply.operation
        if operation is None or (reply.outcome is not None and operation.facts.verb is not Verb.UNKNOWN):
            raise ResourceError("The upstream sent more results than there are operations.")
        return operation

    # replies

    def _confirmed(self, kind: Kind) -> None:
        reply = self._exchange.front(kind)
        self._exchange.due.popleft()
        if reply.change is not None:
            reply.change.settle()
        for operation in reply.operations:
            self._results.done(operation, Outcome("ok"))

    def _parameters(self, _body: bytes) -> None:
        if self._exchange.front(Kind.DESCRIBE).portal is not None:
            raise ResourceError("The upstream described parameters that nothing asked for.")

    def _description(self, body: bytes) -> bytes | None:
        reply = self._exchange.front(Kind.QUERY, Kind.DESCRIBE)
        described = pg.row_description(body)
        if reply.kind is Kind.QUERY:
            self._ask(reply, described)
            return None
        return self._described(reply, described)

    def _described(self, reply: Expected, described: tuple[pg.Described, ...] | None) -> bytes | None:
        self._exchange.due.popleft()
        if reply.portal is not None:
            reply.portal.columns = described
        return b"" if reply.hidden else None

    def _complete(self, outcome: Outcome) -> None:
        reply = self._exchange.front(*RESULT)
        self._copying_out = False
        if not reply.operations and not outcome.tag:
            return
        operation = self._operation(reply)
        self._exchange.lost = 0
        reply.asked = False
        if reply.kind is Kind.EXECUTE:
            self._exchange.due.popleft()
            self._results.done(operation, outcome)
        elif len(reply.operations) > 1:
            reply.mixed = True
            self._results.done(reply.operations.pop(0), outcome)
        else:
            reply.outcome = outcome

    def _suspended(self, _body: bytes) -> None:
        self._exchange.front(Kind.EXECUTE)
        self._complete(Outcome("ok", "", "suspended"))

    def _called(self, body: bytes) -> bytes | None:
        """The result of a call by number: what it holds is not known, so a mask of any kind takes it away."""
        reply = self._exchange.front(Kind.CALL)
        operation = self._operation(reply)
        masked = self._results.columns(operation, [Column("result", Shape.OTHER, None, True)])
        self._results.rows(operation, 1, len(body), [1] if masked else ())
        reply.outcome = Outcome("ok")
        return pg.message(b"V", NULL) if masked else None

    def _ready(self, body: bytes) -> None:
        status = body.decode("latin-1")
        if status not in ("I", "T", "E"):
            raise ResourceError("The upstream reports a transaction status that does not exist.")
        self._exchange.copy_open = False
        if not self._exchange.due:
            self._exchange.ready(status)
            return
        reply = self._exchange.front(Kind.QUERY, Kind.CALL, Kind.SYNC)
        self._exchange.due.popleft()
        self._exchange.status = status
        for operation in reply.operations:
            self._results.done(operation, reply.outcome or Outcome("indeterminate"))
        if status == "I":
            self._names.idle(reply.batch)

    def _error(self, body: bytes) -> bytes | None:
        fields = pg.report_fields(body)
        due = self._exchange.due
        if not due and fields.get("V") not in ("FATAL", "PANIC"):
            raise ResourceError("The upstream sent an error that nothing asked for.")
        shown = self._shown(b"E", fields)
        if not due:
            return shown
        self._exchange.copy_open = self._copying_out = False
        reply, code = due[0], fields.get("C", "")
        if reply.kind is Kind.FAIL:
            shown = reply.answer
        if reply.kind in (Kind.QUERY, Kind.CALL):
            reply.fail(self._results, code)
        elif reply.kind is not Kind.SYNC:
            self._exchange.fail(self._results, code)
        return shown

    def _notice(self, body: bytes) -> bytes | None:
        return self._shown(b"N", pg.report_fields(body))

    def _shown(self, tag: bytes, fields: dict[str, str]) -> bytes | None:
        """None to let an error or notice pass, else what is left of it."""
        if not self._conceals():
            return None
        return pg.report(tag, fields.get("V") or "ERROR", fields.get("C", ""), WITHHELD)

    def _conceals(self) -> bool:
        """Whether texts may hold masked values: also those of earlier statements, at a commit or in one text."""
        reply = self._exchange.due[0] if self._exchange.due else None
        facts = reply.facts if reply is not None else None
        if reply is None or facts is None or facts.verb is Verb.SESSION:
            return self._results.conceal(None)
        return self._results.conceal(Operation(facts)) or (reply.mixed and self._results.conceal(None))

    # what belongs to no reply

    def _notification(self, body: bytes) -> bytes | None:
        if not self._results.conceal(None):
            return None
        return pg.message(b"A", body[: body.find(b"\0", 4) + 1] + b"\0")

    def _setting(self, body: bytes) -> None:
        name, value = pg.setting(body)
        self._results.changed(name, value)
        pg.check_setting(name, value)

    def _copy_in(self, _body: bytes) -> None:
        self._operation(self._exchange.front(*RESULT))
        self._exchange.copy_in()

    def _copy_out(self, _body: bytes) -> None:
        self._operation(self._exchange.front(*RESULT))
        self._copying_out = True

    def _copy_done(self, _body: bytes) -> None:
        if not self._copying_out:
            raise ResourceError("The upstream ended a COPY that was not under way.")


def _text(body: bytes) -> str:
    return body.rstrip(b"\0").decode("utf-8", "replace")
