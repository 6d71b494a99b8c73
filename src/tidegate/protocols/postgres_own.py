"""A conversation of the gateway's own with a server: one statement at a time, in the extended protocol, within limits.

Every statement is in the log, durably, before it is sent (rule 10). The extended protocol takes exactly one statement
in a text, so that none can hide a COMMIT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tidegate.enforcement.stream import Stream
from tidegate.errors import ResourceError
from tidegate.wire.postgres_messages import Described, report_fields, row_description, row_values
from tidegate.wire.postgres_values import Value, run

from .postgres_login import receive

ROWS, BYTES = 100_000, 4 * 1024 * 1024
"""The most rows and bytes of one answer."""

_PASSING = frozenset((b"1", b"2", b"n", b"N", b"S", b"A", b"t"))


@dataclass(slots=True)
class Answer:
    """What a statement gave: its rows as text, its tag, and the SQLSTATE if it failed."""

    columns: tuple[Described, ...] = ()
    rows: list[list[bytes | None]] = field(default_factory=list)
    tag: str = ""
    failure: str = ""


class Conversation:
    """``record`` puts a text into the log and returns when that is durable; the stream is the caller's to close."""

    def __init__(self, stream: Stream, record: Callable[[str], Awaitable[None]]) -> None:
        self._stream = stream
        self._record = record

    async def ask(self, text: str, bound: Sequence[Value] = ()) -> Answer:
        """Run one statement. Raises ResourceError when the answer is too large or makes no sense, EOFError."""
        await self._record(text)
        self._stream.write(run(text, bound))
        answer, size = Answer(), 0
        while True:
            tag, body = await receive(self._stream, BYTES)
            size += len(body)
            if size > BYTES or len(answer.rows) > ROWS:
                raise ResourceError("The answer is too large.", code="resource.answer")
            if tag == b"Z":
                return answer
            self._take(answer, tag, body)

    async def must(self, text: str) -> Answer:
        """The same, for what has to succeed. Raises ResourceError."""
        answer = await self.ask(text)
        if answer.failure:
            raise ResourceError(f"The server refused a look-up (SQLSTATE {answer.failure}).", code="resource.answer")
        return answer

    def _take(self, answer: Answer, tag: bytes, body: bytes) -> None:
        if tag == b"T":
            answer.columns = row_description(body)
        elif tag == b"D":
            answer.rows.append(row_values(body))
        elif tag == b"C":
            answer.tag = body.rstrip(b"\0").decode("ascii", "replace")
        elif tag == b"E":
            answer.failure = report_fields(body).get("C", "") or "XX000"
        elif tag not in _PASSING:
            raise ResourceError("The server answered with something else.", code="resource.answer")
