"""One side of a connection: first a conversation read in exact pieces, then a feed of chunks to the relay.

Every buffer has a limit: while more than ``LIMIT`` bytes wait unread, the peer is not read from.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import cast

from tidegate.errors import AgentError, ResourceError
from tidegate.model.resource import Address

LIMIT = 256 * 1024
WRITE_LIMIT = 1024 * 1024

KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence before a peer is asked whether it is there, seconds between such probes, and how many."""


class Stream(asyncio.Protocol):
    """A transport's protocol; ``peer`` is the other end's address, ``secure`` whether TLS protects it.

    ``progress`` counts the steps that the peer has taken towards being admitted.
    """

    def __init__(self, accepted: Callable[[Stream], None] | None = None) -> None:
        self._accepted = accepted
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._received: Callable[[bytes], None] | None = None
        self._left: Callable[[], None] | None = None
        self._writable: Callable[[bool], None] | None = None
        self._reading = True
        self._closed = asyncio.Event()
        self.gone = False
        self.congested = False
        self.secure = False
        self.admitted = False
        self.progress = 0
        self.peer = ""
        self.transport: asyncio.Transport

    @classmethod
    async def connect(cls, address: Address, *, timeout: float) -> Stream:  # noqa: ASYNC109 - it is a deadline of its own
        """Open a connection; raises ResourceError when nobody answers in time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, stream = await loop.create_connection(cls, address.host, address.port)
        except (OSError, TimeoutError) as error:
            raise ResourceError(
                "the resource's server cannot be reached",
                hint="Ask an operator to check that the upstream is up; nothing was executed.",
                code="resource.unreachable",
            ) from error
        return stream

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and len(peer) >= 2 else str(peer or "")
        self.transport.set_write_buffer_limits(high=WRITE_LIMIT)
        _keep_alive(transport.get_extra_info("socket"))
        if self._accepted is not None:
            self._accepted(self)

    def data_received(self, data: bytes) -> None:
        if self._received is not None:
            self._received(data)
            return
        self._buffer += data
        if len(self._buffer) > LIMIT:
            self.pause()
        self._wake()

    def eof_received(self) -> bool:
        self._leave()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closed.set()
        self._leave()

    def pause_writing(self) -> None:
        self.congested = True
        if self._writable is not None:
            self._writable(False)

    def resume_writing(self) -> None:
        self.congested = False
        if self._writable is not None:
            self._writable(True)

    # conversation

    async def exactly(self, n: int) -> bytes:
        """The next ``n`` bytes; raises EOFError when the peer leaves first."""
        while len(self._buffer) < n:
            if self.gone:
                raise EOFError("the peer closed the connection")
            self.resume()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        return data

    async def ended(self) -> None:
        """Wait until the connection is closed."""
        await self._closed.wait()

    def unread(self) -> bytes:
        """Take what has arrived and nobody has read."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes for the peer; nothing happens once it has gone."""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    async def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool, hostname: str | None = None, begun: bytes = b""
    ) -> None:
        """Wrap the connection in TLS; ``begun`` is the peer's first record when it did not wait to be asked.

        Other bytes that arrived in plaintext before the handshake are an injection attempt (CVE-2021-23222) and end it.
        """
        fault = AgentError if server_side else ResourceError
        if self._buffer:
            raise fault("bytes arrived in plaintext before the TLS handshake", code="tls.injection")
        loop = asyncio.get_running_loop()
        if begun:
            # In the turn after the next one the TLS protocol is connected and waits for this record.
            loop.call_soon(loop.call_soon, self._replay, self.transport, begun)
        try:
            transport = await loop.start_tls(
                self.transport, self, context, server_side=server_side, server_hostname=hostname
            )
            if transport is None:
                raise ConnectionAbortedError
        except BaseException as error:
            # Whoever leaves during a handshake is not told of by the loop.
            self.transport.abort()
            self.connection_lost(None)
            if isinstance(error, OSError):  # as ssl.SSLError is
                cause = getattr(error, "reason", None) or "connection closed"
                raise fault(f"the TLS handshake failed: {cause}") from error
            raise
        self.transport = transport
        self.transport.set_write_buffer_limits(high=WRITE_LIMIT)
        self.secure = True

    def certificate(self) -> bytes:
        """The peer's certificate in DER as it came with the TLS handshake; empty without one."""
        tls = self.transport.get_extra_info("ssl_object")
        return (tls.getpeercert(binary_form=True) or b"") if tls is not None else b""

    def alpn(self) -> str:
        """The protocol that both ends named in the TLS handshake; empty if none."""
        tls = self.transport.get_extra_info("ssl_object")
        return (tls.selected_alpn_protocol() or "") if tls is not None else ""

    def _replay(self, transport: asyncio.Transport, data: bytes) -> None:
        """Give the TLS protocol what was read before it was there."""
        protocol = transport.get_protocol()
        while data and protocol is not self and not transport.is_closing():
            inner = cast(asyncio.BufferedProtocol, protocol)  # what start_tls has put between transport and stream
            room = cast(memoryview, inner.get_buffer(len(data)))
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            inner.buffer_updated(taken)
            data = data[taken:]

    # feed

    def feed(
        self, received: Callable[[bytes], None], left: Callable[[], None], writable: Callable[[bool], None]
    ) -> None:
        """From now on every chunk goes to ``received``; ``left`` is called once when the peer leaves."""
        self._received, self._left, self._writable = received, left, writable
        waiting = self.unread()
        self.resume()
        if waiting:
            received(waiting)
        if self.gone:
            left()

    def unfeed(self, rest: bytes) -> None:
        """Back to a conversation, which begins with ``rest``."""
        self._received = self._left = self._writable = None
        self._buffer[:0] = rest
        if len(self._buffer) <= LIMIT:
            self.resume()

    def pause(self) -> None:
        """Stop reading; the peer feels it as back-pressure."""
        if self._reading and not self.transport.is_closing():
            self.transport.pause_reading()
            self._reading = False

    def resume(self) -> None:
        """Read again."""
        if not self._reading and not self.transport.is_closing():
            self.transport.resume_reading()
            self._reading = True

    async def close(self, patience: float = 2.0) -> None:
        """Send what is queued and close; a peer that does not take it within ``patience`` seconds is cut off."""
        self._received = self._left = self._writable = None
        self.transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._closed.wait()
        if not self._closed.is_set():
            self.transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self._wake()
            if self._left is not None:
                self._left()


def _keep_alive(connection: socket.socket | None) -> None:
    """Find out within a minute that a peer is gone, also while nothing is said: a request may be held for long."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
