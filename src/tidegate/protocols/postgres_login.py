"""Logging in to an upstream: the protocol's version, authentication, and the settings the gateway insists on.

Invariants: the password is sent in clear only over TLS or loopback; with SCRAM the server proves itself too, and over
TLS that its end of the TLS connection is the one the gateway sees, whenever it can; an error of the server's is reduced
to its SQLSTATE, because its text may name addresses, roles or rules of access.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.enforcement.stream import Stream
from tidegate.errors import ResourceError
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.wire.postgres_messages import check_setting, message, report_fields, setting

from ._scram import MECHANISM, PLUS, Scram, end_point
from .postgres_reach import OPERATOR, reach
from .postgres_startup import LONGEST_KEY, loopback

LIMIT = 64 * 1024
SETTINGS = 100
"""The most settings a server may report at a login; PostgreSQL 18 reports 15."""

VERSION = 3 << 16
NEWEST, OLDEST = 2, 0
"""Minor versions asked of an upstream: most servers settle for less, and one that refuses is asked again."""

OK, CLEAR, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12

OLD = "resource.version"
FAULTS = {"3D000": "resource.database", "53300": "resource.full", "0A000": OLD, "08P01": OLD}
"""SQLSTATEs that agents are told apart. The last two are how servers and poolers that do not negotiate refuse a minor
version that they do not know."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says after the login: its settings and the key for cancelling."""

    settings: Mapping[str, str]
    number: int = 0
    secret: bytes = field(default=b"", repr=False)


async def enter(
    resource: Resource, credential: Credential, settings: Mapping[str, str], patience: float
) -> tuple[Stream, Greeting]:
    """Reach the resource and log in with the newest version that both speak. Raises ResourceError, ConfigError."""
    try:
        return await _enter(resource, credential, settings, patience, NEWEST)
    except ResourceError as error:
        if error.code != OLD:
            raise
    return await _enter(resource, credential, settings, patience, OLDEST)


async def _enter(
    resource: Resource, credential: Credential, settings: Mapping[str, str], patience: float, minor: int
) -> tuple[Stream, Greeting]:
    stream = await reach(resource, patience)
    try:
        return stream, await login(stream, credential, settings, minor)
    except BaseException:
        await stream.close()
        raise


async def login(stream: Stream, credential: Credential, settings: Mapping[str, str], minor: int = 0) -> Greeting:
    """Authenticate with ``settings`` as startup parameters. Raises ResourceError."""
    fixed = {"user": credential.user, "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    pairs = "".join(f"{name}\0{value}\0" for name, value in {**settings, **fixed}.items()) + "\0"
    body = (VERSION | minor).to_bytes(4, "big") + pairs.encode()
    stream.write((len(body) + 4).to_bytes(4, "big") + body)
    try:
        await _authenticate(stream, credential.user, credential.password, minor)
        return await _greeting(stream)
    except EOFError:
        raise ResourceError("The resource's server closed the connection during login.", hint=OPERATOR) from None


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


async def _authenticate(stream: Stream, user: str, password: str, minor: int) -> None:
    kind, body = await _challenge(stream, minor)
    if kind == OK:
        return
    if kind == SASL:
        await _scram(stream, password, body.split(b"\0"))
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


async def _scram(stream: Stream, password: str, offered: list[bytes]) -> None:
    """RFC 5802 sections 5 and 6; hashing runs in a thread.

    Over TLS the gateway says that it could bind the channel when it does not, so that somebody in the middle who took
    the offer away is found out by the server.
    """
    bound = stream.secure and PLUS.encode() in offered
    mechanism = PLUS if bound else MECHANISM
    if mechanism.encode() not in offered:
        raise _unacceptable()
    nonce = base64.b64encode(os.urandom(18)).decode()
    scram = Scram(password, nonce, able=stream.secure, binding=end_point(stream.certificate()) if bound else b"")
    first = scram.first()
    stream.write(message(b"p", mechanism.encode() + b"\0" + len(first).to_bytes(4, "big") + first))
    kind, body = await _challenge(stream)
    if kind != SASL_CONTINUE:
        raise _unacceptable()
    stream.write(message(b"p", await asyncio.to_thread(scram.final, body)))
    kind, body = await _challenge(stream)
    if kind != SASL_FINAL:
        raise _unacceptable()
    scram.check(body)


async def _challenge(stream: Stream, minor: int = 0) -> tuple[int, bytes]:
    """The next authentication message: its kind and data. A server may first settle for a version below ``minor``."""
    tag, body = await receive(stream)
    settled = int.from_bytes(body[:4], "big") & 0xFFFF
    if tag == b"v" and settled < minor and body[4:] == bytes(4):
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
                if len(settings) >= SETTINGS:
                    raise _unacceptable()
                settings[name] = value
            case b"K" if 8 <= len(body) <= 4 + LONGEST_KEY:
                number, secret = int.from_bytes(body[:4], "big"), body[4:]
            case b"E":
                raise fault(body)
            case b"Z":
                return Greeting(settings, number, secret)
            case b"N":
                pass  # a warning for people at the server
            case _:
                raise _unacceptable()


def _unacceptable() -> ResourceError:
    return ResourceError("The server asks for a login that is not accepted.", hint=OPERATOR, code="resource.login")
