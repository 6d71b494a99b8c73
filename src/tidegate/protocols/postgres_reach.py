"""A connection to the resource's server: TCP, TLS, and cancel requests, which have a connection of their own.

TLS is asked for by SSLRequest or, when the resource says so, begun at once with the protocol's name (ALPN). There is no
falling back to plaintext. Source: PostgreSQL documentation, "SSL Session Encryption" and "Canceling Requests".
"""

from __future__ import annotations

import asyncio
import ssl

from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, ResourceError
from tidegate.model.resource import Resource

from .postgres_startup import ALPN, CANCEL, ENCRYPT

OPERATOR = "Ask an operator to check the resource's configuration; nothing was executed."


async def reach(resource: Resource, patience: float) -> Stream:
    """A connection to the resource, with TLS if its configuration says so. Raises ResourceError, ConfigError.

    ``patience`` in seconds.
    """
    stream = await Stream.connect(resource.address, timeout=patience)
    if resource.tls == "disable":
        return stream
    try:
        if not resource.direct_tls:
            stream.write((8).to_bytes(4, "big") + ENCRYPT.to_bytes(4, "big"))
            if await stream.exactly(1) != b"S":
                raise ResourceError("The resource's server does not offer TLS.", hint=OPERATOR, code="resource.tls")
        await stream.start_tls(_context(resource), server_side=False, hostname=resource.address.host)
        if resource.direct_tls and stream.alpn() != ALPN:
            raise ResourceError("The resource's server does not speak direct TLS.", hint=OPERATOR, code="resource.tls")
    except BaseException:
        await stream.close()
        raise
    return stream


async def cancel(resource: Resource, number: int, secret: bytes, patience: float) -> None:
    """Ask the server to give up what the session with these keys runs; returns when it has acted.

    The server closes the connection after it has sent its signal, so what is sent on the session's own connection later
    is not hit. Raises ResourceError when it was not asked, TimeoutError when it does not close the connection.
    """
    try:
        async with asyncio.timeout(patience):
            stream = await reach(resource, patience)
    except (EOFError, TimeoutError, ConfigError):
        raise ResourceError("The resource's server takes no cancel request.", code="resource.unreachable") from None
    body = CANCEL.to_bytes(4, "big") + number.to_bytes(4, "big") + secret
    stream.write((len(body) + 4).to_bytes(4, "big") + body)
    try:
        async with asyncio.timeout(patience):
            await stream.ended()
    finally:
        await stream.close()


def _context(resource: Resource) -> ssl.SSLContext:
    """``require`` encrypts (and checks the chain when a ca is named); ``verify-full`` checks chain and name."""
    try:
        context = ssl.create_default_context(cafile=resource.ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError("The resource's ca cannot be read.", hint="It must be a PEM file.") from None
    if resource.tls != "verify-full":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if resource.ca else ssl.CERT_NONE
    if resource.direct_tls:
        context.set_alpn_protocols([ALPN])
    return context
