"""Logging in to an upstream: TLS, authentication, and the settings the gateway insists on.

Invariants: the password is sent in clear only over TLS or loopback; with SCRAM the server proves itself too; an error
of the server's is reduced to its SQLSTATE, because its text may name addresses, roles or rules of access.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, ResourceError
from tidegate.model.resource import Resource
from tidegate.wire.postgres_messages import check_setting, message, report_fields, setting

from ._scram import MECHANISM, Scram
from .postgres_startup import CANCEL, ENCRYPT, loopback

LIMIT = 64 * 1024
VERSION = 3 << 16

OK, CLEAR, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12

OPERATOR = "Ask an operator to check the resource's configuration; nothing was executed."

FAULTS = {"3D000": "resource.database", "53300": "resource.full"}


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says after the login: its settings and the key for cancelling."""

    settings: Mapping[str, str]
    number: int = 0
    secret: bytes = field(default=b"", repr=False)


async def reach(resource: Resource, patience: float) -> Stream:
    """A connection to the resource, with TLS if its configuration says so. Raises ResourceError, ConfigError.

    ``patience`` in seconds.
    """
    stream = await Stream.connect(resource.address, timeout=patience)
    if resource.tls == "disable":
        return stream
    try:
        stream.write((8).to_bytes(4, "big") + ENCRYPT.to_bytes(4, "big"))
        if await stream.exactly(1) != b"S":
            raise ResourceError("The resource's server does not offer TLS.", hint=OPERATOR, code="resource.tls")
        await stream.start_tls(_context(resource), server_side=False, hostname=resource.address.host)
    except BaseException:
        await stream.close()
        raise
    return stream


async def login(stream: Stream, resource: Resource, password: str, settings: Mapping[str, str]) -> Greeting:
    """Authenticate as the resource's user with ``settings`` as startup parameters. Raises ResourceError."""
    fixed = {"user": resource.user, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    pairs = "".join(f"{name}\0{value}\0" for name, value in {**settings, **fixed}.items()) + "\0"
    body = VERSION.to_bytes(4, "big") + pairs.encode()
    stream.write((len(body) + 4).to_bytes(4, "big") + body)
    try:
        await _authenticate(stream, resource.user, password)
        return await _greeting(stream)
    except EOFError:
        raise ResourceError("The resource's server closed the connection during login.", hint=OPERATOR) from None


async def cancel(resource: Resource, greeting: Greeting, patience: float) -> None:
    """Ask the server to give up what the greeted session runs. Raises ResourceError."""
    stream = await reach(resource, patience)
    body = CANCEL.to_bytes(4, "big") + greeting.number.to_bytes(4, "big") + greeting.secret
    stream.write((len(body) + 4).to_bytes(4, "big") + body)
    await stream.close()


async def receive(stream: Stream, limit: int = LIMIT) -> tuple[bytes, bytes]:
    """The next message's tag and body. Raises ResourceError for one that is longer than ``limit``, EOFError."""
    head = await stream.exactly(5)
    length = int.from_bytes(head[1:], "big")
    if not 4 <= length <= limit:
        raise ResourceError("The resource's server sent a message of an impossible length.", hint=OPERATOR)
    return head[:1], await stream.exactly(length - 4)


def fault(body: bytes) -> ResourceError:
    """A server's ErrorResponse as the gateway tells it."""
    state = report_fields(body).get("C", "")
    return ResourceError(
        f"The resource's server refused the gateway (SQLSTATE {state}).",
        hint=OPERATOR,
        code=FAULTS.get(state, "resource.login"),
    )


async def _authenticate(stream: Stream, user: str, password: str) -> None:
    kind, body = await _challenge(stream)
    if kind == OK:
        return
    if kind == SASL and MECHANISM.encode() in body.split(b"\0"):
        await _scram(stream, password)
    elif kind == MD5 and len(body) == 4:
        inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
        outer = hashlib.md5(inner.encode() + body, usedforsecurity=False).hexdigest()
        stream.write(message(b"p", f"md5{outer}\0".encode()))
    elif kind == CLEAR and (stream.secure or loopback(stream, "peername")):
        stream.write(message(b"p", password.encode() + b"\0"))
    else:
        raise _unacceptable()
    if (await _challenge(stream))[0] != OK:
        raise _unacceptable()


async def _scram(stream: Stream, password: str) -> None:
    """RFC 5802 section 5; hashing runs in a thread."""
    scram = Scram(password, base64.b64encode(os.urandom(18)).decode())
    first = scram.first()
    stream.write(message(b"p", MECHANISM.encode() + b"\0" + len(first).to_bytes(4, "big") + first))
    kind, body = await _challenge(stream)
    if kind != SASL_CONTINUE:
        raise _unacceptable()
    stream.write(message(b"p", await asyncio.to_thread(scram.final, body)))
    kind, body = await _challenge(stream)
    if kind != SASL_FINAL:
        raise _unacceptable()
    scram.check(body)


async def _challenge(stream: Stream) -> tuple[int, bytes]:
    """The next authentication message: its kind and data."""
    tag, body = await receive(stream)
    if tag == b"E":
        raise fault(body)
    if tag != b"R" or len(body) < 4:
        raise _unacceptable()
    return int.from_bytes(body[:4], "big"), body[4:]


async def _greeting(stream: Stream) -> Greeting:
    """What follows AuthenticationOk, up to the first ReadyForQuery."""
    settings: dict[str, str] = {}
    number, secret = 0, b""
    while True:
        tag, body = await receive(stream)
        match tag:
            case b"S":
                name, value = setting(body)
                check_setting(name, value)
                settings[name] = value
            case b"K":
                number, secret = int.from_bytes(body[:4], "big"), body[4:]
            case b"E":
                raise fault(body)
            case b"Z":
                return Greeting(settings, number, secret)
            case b"N":
                pass  # a warning for people at the server
            case _:
                raise _unacceptable()


def _context(resource: Resource) -> ssl.SSLContext:
    """``require`` encrypts (and checks the chain when a ca is named); ``verify-full`` checks chain and name."""
    try:
        context = ssl.create_default_context(cafile=resource.ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError("The resource's ca cannot be read.", hint="It must be a PEM file.") from None
    if resource.tls != "verify-full":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if resource.ca else ssl.CERT_NONE
    return context


def _unacceptable() -> ResourceError:
    return ResourceError("The server asks for a login that is not accepted.", hint=OPERATOR, code="resource.login")
