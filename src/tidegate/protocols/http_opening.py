"""The beginning of an agent's HTTP connection, and of each session on it: TLS, a head, whom it names and who it is.

Nothing is taken from the stream: the head that was looked at is read again by the session's wire. Before a session a
head is all that is held, and it has to come within a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from tidegate.enforcement.door import Door
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, TidegateError
from tidegate.model.resource import Resource
from tidegate.model.verdict import Refuse
from tidegate.wire.http_credential import token
from tidegate.wire.http_head import LONGEST, Ending, Head, request_head
from tidegate.wire.http_problem import problem
from tidegate.wire.http_route import Route, route

from .postgres_startup import loopback

NAME = "http"
ALPN = "http/1.1"
HANDSHAKE = 0x16
"""The first byte of a TLS handshake; no method begins so."""

FIRST_RECORD = 16 * 1024 + 256
LINGER, LINGERING = 1.0, 1024 * 1024
"""Seconds and bytes that an agent that is refused may go on sending, so that it reads the refusal."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a head of ``size`` bytes says before any of it is believed: a token, or a certificate in DER, and where it
    leads."""

    head: Head
    where: Route
    resource: Resource | None
    credential: str | bytes
    size: int


async def encrypt(stream: Stream, door: Door) -> None:
    """TLS if the agent begins so; plaintext on loopback only. Raises AgentError, EOFError."""
    first = await stream.exactly(1)
    if first[0] != HANDSHAKE:
        stream.unfeed(first)
        if not loopback(stream, "sockname"):
            raise AgentError("TLS is required here.", hint="Use https.", code="agent.plaintext")
        return
    if door.tls is None:
        raise AgentError("This port does not speak TLS.", hint="Use http.", code="agent.tls")
    record = first + await stream.exactly(4)
    length = int.from_bytes(record[3:5], "big")
    if length > FIRST_RECORD:
        raise AgentError("The TLS handshake begins with too long a record.", hint="Check the client and the port.")
    await stream.start_tls(door.tls, server_side=True, begun=record + await stream.exactly(length))
    if stream.alpn() not in ("", ALPN):
        # A client of another protocol that was led here would take the answer for its own (ALPACA).
        raise AgentError("The TLS connection is for another protocol.", hint=f"Offer {ALPN!r}.", code="agent.alpn")


async def opening(stream: Stream, door: Door, resource: Resource | None) -> Opening:
    """The next head, which stays in the stream. Raises AgentError, EOFError."""
    data, ending = bytearray(), Ending()
    while not (end := ending.find(data)):
        if len(data) > LONGEST:
            raise AgentError(f"the head is longer than {LONGEST} bytes", code="http.fields")
        try:
            data += await stream.exactly(1)
        except EOFError:
            stream.unfeed(bytes(data))
            raise
        data += stream.unread()
    stream.unfeed(bytes(data))
    if end > LONGEST:
        raise AgentError(f"the head is longer than {LONGEST} bytes", code="http.fields")
    head = request_head(bytes(data[:end]))
    where = route(head, resource, lambda name: known(door, name) is not None)
    return Opening(head, where, resource or known(door, where.name), stream.certificate() or token(head), end)


def known(door: Door, name: str) -> Resource | None:
    """A resource of this protocol by its name."""
    found = door.resource(name)
    return found if found is not None and found.protocol == NAME else None


async def decline(stream: Stream, error: TidegateError) -> None:
    """Tell an agent why there is no session."""
    refusal = Refuse(error.code, "tidegate", error.message, error.hint)
    stream.write(problem(refusal, close=True))
    await leave(stream)


async def leave(stream: Stream) -> None:
    """Say nothing more, but let an agent that may still be sending read what was said (RFC 9112 section 9.6)."""
    stream.unfeed(b"")
    taken = 0
    with contextlib.suppress(TimeoutError, EOFError):
        if stream.transport.can_write_eof() and not stream.transport.is_closing():
            stream.transport.write_eof()
        async with asyncio.timeout(LINGER):
            while taken < LINGERING:
                taken += len(await stream.exactly(1)) + len(stream.unread())
