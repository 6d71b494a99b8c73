"""Waiting for an answer by API: long polls and server-sent events, of which there may be only so many.

Connections to the API are few, and people need them to approve, revoke and kill: who waits must not keep them out. An
event stream ends with the answer, or after ``LONGEST``; a client that wants to wait longer connects again (WHATWG HTML,
section 9.2: it does so by itself).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import orjson
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tidegate.errors import Refused

MOST, MOST_OF_ONE = 60, 10
"""Waiting at a time: in all, and for one person with their agents."""

LONGEST = 300.0
BEAT = 15.0
"""Seconds of a stream, and between two signs of life in it."""


class Waits:
    """Who waits now; event loop only."""

    def __init__(self) -> None:
        self._now: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, subject: str) -> Iterator[None]:
        """A place to wait. Raises Refused ``gateway.full``."""
        if self._now.total() >= MOST or self._now[subject] >= MOST_OF_ONE:
            raise Refused(
                "too many wait for an answer already", hint="Ask without `wait`, or again later.", code="gateway.full"
            )
        self._now[subject] += 1
        try:
            yield
        finally:
            self._now[subject] -= 1
            self._now += Counter()  # who no longer waits is forgotten

    def stream(
        self, subject: str, look: Callable[[float], Awaitable[BaseModel]], over: Callable[[BaseModel], bool]
    ) -> StreamingResponse:
        """Events of what ``look`` shows, which waits up to the seconds it is given, until it is ``over``."""
        place = contextlib.ExitStack()
        place.enter_context(self.place(subject))
        return _Stream(_events(look, over), place)


class _Stream(StreamingResponse):
    """Gives its place back however it ends, also when nothing of it was ever sent."""

    def __init__(self, events: AsyncIterator[bytes], place: contextlib.ExitStack) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._place = place

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        with self._place:
            await super().__call__(scope, receive, send)


async def _events(
    look: Callable[[float], Awaitable[BaseModel]], over: Callable[[BaseModel], bool]
) -> AsyncIterator[bytes]:
    end = asyncio.get_running_loop().time() + LONGEST
    last, found = b"", await look(0)
    while True:
        data = orjson.dumps(found.model_dump(mode="json"))
        yield b": waiting\n\n" if data == last else b"event: state\ndata: " + data + b"\n\n"
        last = data
        if over(found) or asyncio.get_running_loop().time() >= end:
            return
        found = await look(BEAT)
