"""The beginning of an agent's connection: encryption, cancel requests, the startup packet.

Before authentication a packet is at most ``LIMIT`` bytes, and encryption is negotiated at most once: asked for by
SSLRequest, or begun directly by a TLS handshake that names the protocol (ALPN), without which another protocol's client
could be led here (ALPACA). Source: PostgreSQL documentation, "Message Flow".
"""

from __future__ import annotations

import ipaddress
import ssl

from tidegate.enforcement.door import Door
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError
from tidegate.wire.postgres_messages import message

from .postgres_parameters import Startup, startup

LIMIT = 10 * 1024
CANCEL, ENCRYPT, ENCRYPT_GSS = 80877102, 80877103, 80877104
HANDSHAKE = 0x16
"""The first byte of a TLS handshake; no startup packet begins so, because none is that long."""

ALPN = "postgresql"
MAJOR, MINORS = 3, (0, 2)
"""Versions spoken with agents: 3.0 and 3.2. There is no 3.1: the number was given up."""

LONGEST_KEY = 256


async def greet(stream: Stream, door: Door) -> Startup | None:
    """Everything up to the startup packet; None if the connection was a cancel request. Raises AgentError."""
    offered = {ENCRYPT, ENCRYPT_GSS}
    while True:
        head = await stream.exactly(4)
        if head[0] == HANDSHAKE and door.tls is not None and not stream.secure:
            offered.clear()
            await _direct(stream, door.tls, head)
            continue
        code, body = await _packet(stream, head)
        if code == CANCEL:
            await _cancel(stream, door, body)
            return None
        if code not in offered:
            break
        offered.discard(code)
        if code == ENCRYPT and door.tls is not None and not stream.secure:
            offered.clear()
            stream.write(b"S")
            await stream.start_tls(door.tls, server_side=True)
        else:
            stream.write(b"N")
    if not stream.secure and not loopback(stream, "sockname"):
        raise AgentError("TLS is required here.", hint="Set sslmode=require (or verify-full).", code="agent.plaintext")
    return _startup(stream, code, body)


def resource_name(database: str) -> tuple[str, str]:
    """Resource and database from ``resource`` or ``resource/database``; the latter is empty when not named."""
    name, _, inner = database.partition("/")
    return name, inner


def loopback(stream: Stream, end: str) -> bool:
    """Whether one end of a connection (``sockname``, ``peername``) is a loopback address."""
    address = stream.transport.get_extra_info(end)
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except (TypeError, ValueError, IndexError):
        return False


async def _direct(stream: Stream, context: ssl.SSLContext, head: bytes) -> None:
    """TLS without a word before it: ``head`` begins the first record (RFC 8446 section 5.1)."""
    head += await stream.exactly(1)
    length = int.from_bytes(head[3:5], "big")
    if length > LIMIT:
        raise AgentError("The TLS handshake begins with too long a record.", hint="Check the driver and the port.")
    await stream.start_tls(context, server_side=True, begun=head + await stream.exactly(length))
    if stream.alpn() != ALPN:
        raise AgentError(
            "A direct TLS connection must name the protocol.", hint=f"Set ALPN to {ALPN!r}.", code="agent.alpn"
        )


async def _cancel(stream: Stream, door: Door, body: bytes) -> None:
    """A cancel request has no answer, whether it is right or wrong."""
    if 4 < len(body) <= 4 + LONGEST_KEY:
        await door.cancels().cancel(int.from_bytes(body[:4], "big"), body[4:], stream.peer)


async def _packet(stream: Stream, head: bytes) -> tuple[int, bytes]:
    length = int.from_bytes(head, "big")
    if not 8 <= length <= LIMIT:
        raise AgentError("This is not a PostgreSQL startup packet.", hint="Check the driver and the port.")
    body = await stream.exactly(length - 4)
    return int.from_bytes(body[:4], "big"), body[4:]


def _startup(stream: Stream, code: int, body: bytes) -> Startup:
    major, asked = code >> 16, code & 0xFFFF
    if major != MAJOR:
        raise AgentError("Only protocol version 3 is spoken here.", hint="Use a newer driver.", code="agent.version")
    minor = max(version for version in MINORS if version <= asked)
    given = _parameters(body)
    extensions = [name for name in given if name.startswith("_pq_.")]
    if minor != asked or extensions:
        names = b"".join(name.encode() + b"\0" for name in extensions)
        spoken = (MAJOR << 16 | minor).to_bytes(4, "big")
        stream.write(message(b"v", spoken + len(extensions).to_bytes(4, "big") + names))
    return startup({name: value for name, value in given.items() if name not in extensions}, minor)


def _parameters(body: bytes) -> dict[str, str]:
    try:
        parts = body.decode("utf-8").split("\0")
    except UnicodeDecodeError:
        raise AgentError("The startup packet is not UTF-8.") from None
    if len(parts) < 2 or len(parts) % 2 or parts[-2:] != ["", ""]:
        raise AgentError("The startup packet is malformed.", hint="Check the driver and the port.")
    return dict(zip(parts[:-2:2], parts[1:-2:2], strict=True))
