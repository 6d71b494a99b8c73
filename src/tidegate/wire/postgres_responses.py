"""The upstream's direction: bytes in, what the agent may see out.

Whole messages are walked by their headers and unchanged spans leave as they came; with nothing to mask, the very bytes.
Rewritten are rows with a masked column, errors and notices that must conceal, notifications, and replies to messages of
the gateway's own, which are dropped. When a limit is reached, the chunk that reaches it is withheld and the result ends
in an error; what the upstream still sends for the batch is swallowed up to ReadyForQuery, which passes.
Everything unexpected raises ResourceError, which ends the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from librt.strings import read_i16_be, read_i32_be

from tidegate.errors import ResourceError
from tidegate.model.operation import Column, Facts, Operation, Outcome, Results, Shape, Transform
from tidegate.model.resource import Field

from . import postgres_messages as pg
from ._frames import HEADER, NULL, Spans, rewrite, run
from .postgres_copied import Copied
from .postgres_exchange import Exchange, Expected, Kind, may_copy
from .postgres_masks import Description, Descriptions, FindCatalog, needed
from .postgres_named import READ, SESSION, UNKNOWN
from .postgres_names import Names

HELD: Final = 16 * 1024 * 1024
"""Bytes of one message that is assembled before it passes."""

STREAM: Final = 64 * 1024
"""Bytes above which a row without masks is passed on before it is complete."""

REMEMBERED: Final = 64
"""Statements of one transaction that are remembered by themselves."""

PARSED: Final = 0x31
BOUND: Final = 0x32
CLOSED: Final = 0x33
NOTIFIED: Final = 0x41
COMPLETE: Final = 0x43
DATA_ROW: Final = 0x44
ERROR: Final = 0x45
COPY_IN: Final = 0x47
COPY_OUT: Final = 0x48
EMPTY: Final = 0x49
NOTICE: Final = 0x4E
SETTING: Final = 0x53
DESCRIPTION: Final = 0x54
CALLED: Final = 0x56
COPY_BOTH: Final = 0x57
READY: Final = 0x5A
COPY_DONE: Final = 0x63
COPY_DATA: Final = 0x64
NO_DATA: Final = 0x6E
SUSPENDED: Final = 0x73
PARAMETERS: Final = 0x74
"""The upstream's messages by their tags; any other ends the session."""

ROW: Final = Field("copy", "row")
"""What is counted when something is replaced in bulk output."""

UNASKED: Final = (NOTICE, SETTING, NOTIFIED)
"""Messages that may come at any time."""

SAID: Final = (PARSED, BOUND)
"""What the reply to the gateway's own question consists of, apart from its rows and its end."""

LOOKED_UP: Final = 64 * 1024 * 1024
"""Bytes of answers to the gateway's own questions that are held."""

UNCUT: Final = (READY, SETTING, NOTIFIED)
IDLE: Final = 0x49
INSIDE: Final = 0x54
FAILED: Final = 0x45
"""The statuses of a transaction."""

OK: Final = Outcome("ok")
SUSPENSION: Final = Outcome("ok", "", "suspended")
TAGS = 256
"""Words of completion whose outcome a session keeps."""

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

    def __init__(self, exchange: Exchange, names: Names, catalog: FindCatalog) -> None:
        self._exchange = exchange
        self._names = names
        self._held = bytearray()
        self._need = 0
        self._left = 0
        self._cut = False
        self._copying_out = False
        self._copied: Copied | None = None
        self._answers: list[list[list[bytes | None]]] = [[]]
        self._looked_up = 0
        self._results: Results
        self._descriptions = Descriptions(catalog)
        self._outcomes: dict[bytes, Outcome] = {}

    @property
    def partial(self) -> bool:
        """Whether nothing may be put into the stream now."""
        return self._left > 0

    def take(self, data: bytes, results: Results) -> bytes:
        """What the agent may see of ``data``. Raises ResourceError."""
        self._results = results
        if self._exchange.skipped:
            self._exchange.report(results)
        if self._held:
            if len(self._held) + len(data) < self._need:
                self._held += data
                return b""
            data = bytes(self._held) + data
            self._held.clear()
        spans = Spans(data)
        at = self._rest(spans, data) if self._left else 0
        while (end := self._step(spans, data, at)) > at:
            at = end
        if at < len(data):
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
        tag = data[at]
        length: int = read_i32_be(data, at + 1)
        if length < 4 or length > pg.LONGEST:
            raise ResourceError("The upstream sent a message that claims an impossible length.")
        end = at + 1 + length
        if tag in (DATA_ROW, COPY_DATA) and not self._exchange.asking:
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
        if self._exchange.asking and tag not in UNASKED:
            self._told(tag, data[at + HEADER : end])
            spans.replace(at, end, b"")
            return
        new = self._taken(tag, data, at + HEADER, end)
        if self._cut and tag not in UNCUT:
            new = b""
        if tag == READY:
            self._cut = self._copying_out = False
        if new is not None:
            spans.replace(at, end, new)

    def _taken(self, tag: int, data: bytes, at: int, end: int) -> bytes | None:
        """Take in the message whose body is ``at:end``, the most frequent first; None to let it pass."""
        if tag == BOUND:
            return self._confirmed(Kind.BIND)
        if tag == DESCRIPTION:
            return self._description(data[at:end])
        if tag == NO_DATA:
            return self._described(self._exchange.front(Kind.DESCRIBE), None)
        if tag == PARSED:
            return self._confirmed(Kind.PARSE)
        if tag == CLOSED:
            return self._confirmed(Kind.CLOSE)
        if tag == COMPLETE:
            self._complete(self._outcome(data[at:end]))
        elif tag == READY:
            self._ready(data, at, end)
        elif tag == PARAMETERS:
            self._parameters()
        elif tag == EMPTY:
            self._complete(OK)
        elif tag == SUSPENDED:
            self._suspended()
        else:
            return self._seldom(tag, data[at:end])
        return None

    def _seldom(self, tag: int, body: bytes) -> bytes | None:
        if tag == ERROR:
            return self._error(body)
        if tag == NOTICE:
            return self._notice(body)
        if tag == NOTIFIED:
            return self._notification(body)
        if tag == CALLED:
            return self._called(body)
        if tag == SETTING:
            self._setting(body)
        elif tag == COPY_IN:
            self._copy_in()
        elif tag == COPY_OUT:
            self._copy_out(body)
        elif tag == COPY_BOTH:
            self._copy_both()
        elif tag == COPY_DONE:
            self._copy_done()
        else:
            raise ResourceError(f"The upstream sent a message with tag 0x{tag:02x}, which has no place here.")
        return None

    # rows

    def _rows(self, spans: Spans, data: bytes, at: int, end: int, count: int) -> None:
        """A run of whole rows, or of COPY data."""
        reply = self._result(data[at])
        if self._cut:
            spans.replace(at, end, b"")
            return
        transforms = None if self._copying_out else self._masks(reply)
        if not self._copying_out and not _wide(data, at, end, reply.width):
            raise ResourceError("The upstream sent a row whose number of columns is not the announced one.")
        masked: Sequence[int] = ()
        new: bytes | None = None
        if self._copying_out and self._copied is not None:
            new, found = self._copied.rewrite(data, at, end)
            if found:
                self._results.replaced(self._operation(reply), ROW, found)
        if transforms is not None and (transforms := needed(transforms, data, at, end)) is not None:
            cells = [0] * len(transforms)
            new = rewrite(data, at, end, transforms, cells)
            masked = cells
        if not self._counted(reply, count, end - at, masked):
            self._stop(spans, at, end, reply)
        elif new is not None:
            spans.replace(at, end, new)

    def _begin(self, spans: Spans, data: bytes, at: int, end: int) -> bool:
        """Stream a large row if nothing in it is masked."""
        reply = self._result(data[at])
        if not self._cut and (self._copied if self._copying_out else self._masks(reply)) is not None:
            return False
        self._left = end - len(data)
        if self._cut:
            spans.replace(at, len(data), b"")
        elif not self._counted(reply, 1, end - at, ()):
            self._stop(spans, at, len(data), reply)
        return True

    def _counted(self, reply: Expected, count: int, size: int, masked: Sequence[int]) -> bool:
        """Whether the rows may pass."""
        operation = self._operation(reply)
        if operation.given is not None:
            operation.given[0] += count
        return self._results.rows(operation, count, size, masked)

    def _result(self, tag: int) -> Expected:
        if (tag == COPY_DATA) is not self._copying_out:
            raise ResourceError("The upstream sent rows of a kind that it did not announce.")
        return self._exchange.front(Kind.EXECUTE, Kind.QUERY)

    def _stop(self, spans: Spans, at: int, end: int, reply: Expected) -> None:
        """A limit is reached: the agent sees an error, and the rest of the batch is swallowed on both sides."""
        spans.replace(at, end, OVER)
        self._cut = True
        self._exchange.discarding = reply.kind == Kind.EXECUTE and not self._exchange.synced

    def _masks(self, reply: Expected) -> Sequence[Transform | None] | None:
        if not reply.asked:
            if reply.portal is None or reply.portal.columns is None:
                raise ResourceError("The upstream sent rows that it did not describe.")
            self._ask(reply, reply.portal.columns)
        return reply.masks

    def _ask(self, reply: Expected, described: Description) -> None:
        """Ask for the masks of a result set."""
        reply.width = len(described.fields)
        reply.masks = self._descriptions.masks(self._results, self._operation(reply), described)
        reply.asked = True

    def _operation(self, reply: Expected) -> Operation:
        """The operation a result belongs to; only a text nobody understood may give more results than expected."""
        if reply.operations:
            operation = reply.operations[0]
            if reply.outcome is None or operation.facts.verb is UNKNOWN:
                return operation
        raise ResourceError("The upstream sent more results than there are operations.")

    # replies

    def _confirmed(self, kind: int) -> bytes | None:
        reply = self._exchange.front(kind)
        self._exchange.due.popleft()
        if reply.change is not None:
            reply.change.settle()
        for operation in reply.operations:
            self._results.done(operation, OK)
        return b"" if reply.hidden else None

    def _parameters(self) -> None:
        if self._exchange.front(Kind.DESCRIBE).portal is not None:
            raise ResourceError("The upstream described parameters that nothing asked for.")

    def _description(self, body: bytes) -> bytes | None:
        reply = self._exchange.front(Kind.DESCRIBE, Kind.QUERY)
        described = self._descriptions.read(body)
        if reply.kind == Kind.QUERY:
            self._ask(reply, described)
            return None
        return self._described(reply, described)

    def _described(self, reply: Expected, described: Description | None) -> bytes | None:
        self._exchange.due.popleft()
        if reply.portal is not None:
            reply.portal.columns = described
        return b"" if reply.hidden else None

    def _complete(self, outcome: Outcome) -> None:
        reply = self._exchange.front(Kind.EXECUTE, Kind.QUERY)
        self._copying_out = False
        if not reply.operations and not outcome.tag:
            return
        operation = self._operation(reply)
        self._passed(operation, outcome.tag)
        reply.asked = False
        if reply.kind == Kind.EXECUTE:
            self._exchange.due.popleft()
            if reply.change is not None:
                reply.change.settle()
            self._results.done(operation, outcome)
            return
        change = reply.changes.pop(0) if reply.changes else None
        if change is not None:
            change.settle()
        if len(reply.operations) > 1:
            reply.mixed = True
            self._results.done(reply.operations.pop(0), outcome)
        else:
            reply.outcome = outcome

    def _outcome(self, body: bytes) -> Outcome:
        """What a CommandComplete says; one that says the same again is the same."""
        found = self._outcomes.get(body)
        if found is None:
            found = Outcome("ok", "", _text(body))
            if len(self._outcomes) < TAGS and len(body) <= REMEMBERED:
                self._outcomes[body] = found
        return found

    def _passed(self, operation: Operation, tag: str) -> None:
        """An operation is done in the current transaction."""
        exchange = self._exchange
        exchange.lost = 0
        if len(exchange.passed) <= REMEMBERED:
            for earlier in exchange.passed:
                if earlier.facts is operation.facts:
                    break
            else:
                exchange.passed.append(operation)
        if tag == "ROLLBACK":
            exchange.spoiled = True
            self._names.rolled_back()

    def _suspended(self) -> None:
        self._exchange.front(Kind.EXECUTE)
        self._complete(SUSPENSION)

    def _called(self, body: bytes) -> bytes | None:
        """The result of a call by number: what it holds is not known, so a mask of any kind takes it away."""
        reply = self._exchange.front(Kind.CALL)
        operation = self._operation(reply)
        masked = self._results.columns(operation, [Column("result", Shape.OTHER, None, True)])
        self._results.rows(operation, 1, len(body), [1] if masked else ())
        reply.outcome = OK
        return pg.message(b"V", NULL) if masked else None

    def _ready(self, data: bytes, at: int, end: int) -> None:
        said = data[at] if end == at + 1 else 0
        status = "I" if said == IDLE else "T" if said == INSIDE else "E" if said == FAILED else ""
        if not status:
            raise ResourceError("The upstream reports a transaction status that does not exist.")
        self._exchange.copy_open = False
        if not self._exchange.due:
            self._exchange.ready(status)
            return
        reply = self._exchange.front(Kind.SYNC, Kind.QUERY, Kind.CALL)
        self._exchange.due.popleft()
        for operation in reply.operations:
            self._results.done(operation, reply.outcome or Outcome("indeterminate"))
        if status == "I":
            self._names.idle(reply.batch, not self._exchange.spoiled)
        self._exchange.settle(status)

    def _error(self, body: bytes) -> bytes | None:
        fields = pg.report_fields(body)
        due = self._exchange.due
        if not due and fields.get("V") not in ("FATAL", "PANIC"):
            raise ResourceError("The upstream sent an error that nothing asked for.")
        shown = self._shown(b"E", fields)
        if not due:
            return shown
        self._exchange.copy_open = self._copying_out = False
        self._exchange.spoiled = True
        reply, code = due[0], fields.get("C", "")
        if reply.kind == Kind.FAIL:
            shown = reply.answer
        if reply.kind == Kind.QUERY or reply.kind == Kind.CALL:
            reply.fail(self._results, code)
        elif reply.kind != Kind.SYNC:
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
        if reply is None:
            return self._results.conceal(None)
        facts = reply.facts
        if facts is not None and self._results.conceal(Operation(facts)):
            return True
        return (facts is None or facts.verb is SESSION or reply.mixed) and self._conceals_earlier()

    def _conceals_earlier(self) -> bool:
        """Whether what ran before in the same transaction does: a deferred constraint tells of it only later."""
        passed = self._exchange.passed
        if len(passed) > REMEMBERED:
            return self._results.conceal(None)
        return any([self._results.conceal(operation) for operation in passed])

    # the gateway's own question

    def _told(self, tag: int, body: bytes) -> None:
        """One message of the reply, which ends with the names freed, and ReadyForQuery unless the batch is open."""
        exchange = self._exchange
        exchange.front(Kind.ASK)
        if tag == DATA_ROW:
            self._looked_up += len(body)
            self._answers[-1].append(pg.row_values(body))
        elif tag == COMPLETE:
            self._answers.append([])
        elif tag in (CLOSED, READY):
            exchange.asking -= 1
        elif tag == ERROR or self._looked_up > LOOKED_UP:
            raise ResourceError("The upstream does not say what names mean in this session.", code="resource.catalog")
        elif tag not in SAID:
            raise ResourceError("The upstream answered the gateway's own question with something else.")
        if not exchange.asking:
            exchange.due.popleft()
            answers, self._answers, self._looked_up = self._answers, [[]], 0
            self._results.found(answers[:-1])

    # what belongs to no reply

    def _notification(self, body: bytes) -> bytes | None:
        """Whoever sent it is not this session: it is judged, masked and counted by itself."""
        channel, at = pg.channel(body)
        text = f"notification on {channel}"
        details: dict[str, object] = {"channel": channel, "commands": ["notification"]}
        facts = Facts(READ, "notification", text, effect=False, outputs=(), filters=frozenset(), details=details)
        if not self._results.arrived(Operation(facts, anew=lambda: facts), len(body)):
            return b""
        return pg.message(b"A", body[:at] + b"\0") if self._results.conceal(None) else None

    def _setting(self, body: bytes) -> None:
        name, value = pg.setting(body)
        self._results.changed(name, value)
        pg.check_setting(name, value)

    def _copy_in(self) -> None:
        self._copy_begins()
        self._exchange.copy_in()

    def _copy_out(self, body: bytes) -> None:
        self._copy_begins()
        self._copying_out = True
        operation = self._operation(self._exchange.front(Kind.EXECUTE, Kind.QUERY))
        scan = self._results.value(operation, ROW, Shape.TEXT)
        self._copied = Copied(scan, binary=body[:1] != b"\0") if scan is not None else None

    def _copy_both(self) -> None:
        """Replication: both sides send until each has ended its own data."""
        self._copy_begins()
        self._exchange.copy_in()
        self._copying_out, self._copied = True, None

    def _copy_begins(self) -> None:
        if not may_copy(self._operation(self._exchange.front(Kind.EXECUTE, Kind.QUERY))):
            raise ResourceError("The upstream began a COPY that nothing asked for.")

    def _copy_done(self) -> None:
        if not self._copying_out:
            raise ResourceError("The upstream ended a COPY that was not under way.")
        self._copying_out = False


def _wide(data: bytes, at: int, end: int, width: int) -> bool:
    """Whether the row at ``at`` says that it has so many columns."""
    if end < at + HEADER + 2:
        return False
    columns: int = read_i16_be(data, at + HEADER)
    return (columns if columns >= 0 else columns + 65536) == width


def _text(body: bytes) -> str:
    return body.rstrip(b"\0").decode("utf-8", "replace")
