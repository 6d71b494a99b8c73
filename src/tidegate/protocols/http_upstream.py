"""The upstream's side of a session: a connection that is opened again when its server has closed it between requests.

Servers close connections that rest, while an agent keeps its own and people think about what it asked. The session does
not end with that: what is written next goes over a new connection. Invariant: bytes of a connection that was given up
reach nobody, and a connection that is lost with a request on it is lost for the session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from tidegate.enforcement.stream import Stream
from tidegate.errors import TidegateError


class Talking(Protocol):
    """What is known of the conversation."""

    @property
    def between(self) -> bool:
        """Whether no request is under way."""

    @property
    def spent(self) -> bool:
        """Whether the connection takes no further request."""

    def renewed(self) -> None:
        """It was given up."""


class Kept(Stream):
    """Stands for one connection after another; ``connect`` opens the next."""

    def __init__(self, first: Stream, connect: Callable[[], Awaitable[Stream]], talking: Talking) -> None:
        super().__init__()
        self._now: Stream | None = first
        self._connect = connect
        self._talking = talking
        self._unsent: list[bytes] = []
        self._asked = self._paused = False
        self._opening: asyncio.Task[None] | None = None
        self._heard: Callable[[bytes], None] = lambda _: None
        self._lost: Callable[[], None] = lambda: None
        self._free: Callable[[bool], None] = lambda _: None

    def feed(
        self, received: Callable[[bytes], None], left: Callable[[], None], writable: Callable[[bool], None]
    ) -> None:
        """See ``Stream``; ``left`` is called when a connection is lost that a request went over."""
        self._heard, self._lost, self._free = received, left, writable
        if self._now is not None:
            self._attach(self._now)

    def write(self, data: bytes) -> None:
        """See ``Stream``; what comes before there is a connection waits for it."""
        if not data:
            return
        self._asked = True
        if self._now is not None:
            self._now.write(data)
            return
        self._unsent.append(data)
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._flow(writable=False)

    def pause(self) -> None:
        """See ``Stream``."""
        self._paused = True
        if self._now is not None:
            self._now.pause()

    def resume(self) -> None:
        """See ``Stream``."""
        self._paused = False
        if self._now is not None:
            self._now.resume()

    async def close(self, patience: float = 2.0) -> None:
        """See ``Stream``."""
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        if self._now is not None:
            await self._now.close(patience)

    def _attach(self, stream: Stream) -> None:
        stream.feed(
            lambda data: self._came(stream, data),
            lambda: self._went(stream),
            lambda writable: self._flow(writable=writable) if stream is self._now else None,
        )

    def _came(self, stream: Stream, data: bytes) -> None:
        if stream is not self._now:
            return
        if not self._asked:
            self._give_up(stream)  # what nobody asked for would be taken for the next answer
            return
        self._heard(data)
        if self._talking.between:
            self._asked = False
            if self._talking.spent:
                self._give_up(stream)

    def _went(self, stream: Stream) -> None:
        if stream is not self._now:
            return
        if self._asked:
            self._lost()
        else:
            self._give_up(stream)

    def _give_up(self, stream: Stream) -> None:
        self._now = None
        self._talking.renewed()
        stream.transport.abort()

    def _flow(self, *, writable: bool) -> None:
        self.congested = not writable
        self._free(writable)

    async def _open(self) -> None:
        try:
            stream = await self._connect()
        except (TidegateError, OSError, EOFError):
            self._lost()
            return
        self._now, self._opening = stream, None
        self._attach(stream)
        if self._paused:
            stream.pause()
        unsent, self._unsent = self._unsent, []
        stream.write(b"".join(unsent))
        self._flow(writable=not stream.congested)
