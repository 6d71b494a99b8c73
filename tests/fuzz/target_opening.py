"""What an agent says before it is known: a startup packet, options, a password or a bearer token.

Input: what arrives on the socket. The agent hangs up after it. Nothing but AgentError and the end of the stream may
come of it, little is kept, and no setting passes that decides how a statement is read.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError
from tidegate.protocols.postgres_credential import credential
from tidegate.protocols.postgres_parameters import SETTINGS
from tidegate.protocols.postgres_startup import LIMIT, greet


class Line(asyncio.Transport):
    """A transport that keeps what is written, with both its ends at ``address``."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__({"sockname": (address, 1), "peername": (address, 2)})
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def heard(line: Line, data: bytes) -> Stream:
    """A stream whose peer said ``data`` and left."""
    stream = Stream()
    stream.connection_made(line)
    stream.data_received(data)
    stream.eof_received()
    return stream


async def _open(line: Line, data: bytes) -> None:
    async def cancel(number: int, secret: bytes, peer: str) -> None:
        assert len(secret) <= LIMIT

    door: Any = SimpleNamespace(tls=None, cancels=lambda: SimpleNamespace(cancel=cancel))
    stream = heard(line, data)
    startup = await greet(stream, door)
    if startup is None:
        return
    assert set(startup.settings) <= SETTINGS, "a setting that is not on the list reaches the server"
    assert not any("\0" in part for pair in startup.settings.items() for part in pair), "a setting hides another"
    assert startup.replication in ("", "on", "database") and startup.minor in (0, 2) and startup.patience < 10**10
    presented = await credential(stream, startup)
    assert len(presented) <= LIMIT


def target(data: bytes) -> None:
    """One agent's first bytes."""
    line = Line()
    with suppress(AgentError, EOFError):
        asyncio.run(_open(line, data))
    assert len(line.written) <= 2 * len(data) + 64, "an agent that is not known yet has much sent to it"
