"""Accept connections, bound how many may be at the door, and let every one end by itself.

An unauthenticated connection costs a deadline and a place. When the places are taken, the one that has come least far
makes room, of several the one that has been at the door longest: a slow handshake delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, TidegateError
from tidegate.journal import surprise
from tidegate.model.resource import Address

logger = structlog.get_logger("tidegate.gateway")

Serve = Callable[[Stream], Awaitable[None]]


class Listener:
    """One listening socket and its connections."""

    def __init__(self, name: str, address: Address, serve: Serve, *, places: int) -> None:
        self.name = name
        self.address = address
        self._serve = serve
        self._places = places
        self._door: dict[Stream, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._server: asyncio.Server | None = None

    async def open(self, *, shared: bool = False) -> None:
        """Bind; ``shared`` lets other workers bind it too. Raises ConfigError when the address cannot be used."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Stream(self._accepted), self.address.host, self.address.port, backlog=512, reuse_port=shared
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self.address} for {self.name}: {error.strerror or error}",
                hint="Another process has the port, or the address is not this machine's: change tidegate.yaml.",
                code="config.listen",
            ) from error

    async def run(self) -> None:
        """Serve until cancelled or closed."""
        assert self._server is not None
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    def close(self) -> None:
        """Accept nobody any more; open sessions are not touched."""
        if self._server is not None:
            self._server.close()

    def _accepted(self, stream: Stream) -> None:
        if self._tasks is None:
            stream.transport.abort()
            return
        self._make_room()
        self._door[stream] = self._tasks.create_task(self._run(stream))

    def _make_room(self) -> None:
        waiting = [stream for stream in self._door if not stream.admitted]
        if len(waiting) >= self._places:
            last = min(waiting, key=lambda stream: stream.progress)
            last.transport.abort()
            # Its end alone does not wake who waits for a TLS handshake in uvloop.
            self._door.pop(last).cancel()

    async def _run(self, stream: Stream) -> None:
        """The session boundary: whatever a connection does, it ends alone."""
        try:
            await self._serve(stream)
        except (EOFError, TimeoutError, OSError) as error:
            logger.info("connection.ended", listener=self.name, peer=stream.peer, cause=type(error).__name__)
        except TidegateError as error:
            logger.info("connection.refused", listener=self.name, peer=stream.peer, code=error.code)
        except Exception as error:
            surprise("connection.surprise", error, listener=self.name, peer=stream.peer)
        finally:
            self._door.pop(stream, None)
            await stream.close()
