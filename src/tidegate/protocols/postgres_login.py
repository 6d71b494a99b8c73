"""Logging in to an upstream: TLS, authentication, and the settings the gateway insists on.

Invariants: the password is sent in clear only over TLS or loopback; with SCRAM the server proves itself too; an error
of the server's is reduced to its SQLSTATE, because its text may name addresses, roles or rules of access.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..enforcement.stream import Stream
from ..errors import ConfigError, ResourceError
from ..model.resource import Resource
from ..wire.postgres_messages import message, report_fields, setting
from ..wire.postgres_responses import check_setting
from ._scram import MECHANISM, Scram
from .postgres_startup import CANCEL, ENCRYPT

LIMIT = 64 * 1024
VERSION = 3 << 16

OK, CLEAR, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12

FAULTS = {"3D000": "resource.database", "53300": "resource.full"}


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says after the login: its settings and the key for cancelling."""

    settings: Mapping[str, str]
    number: int = 0
    secret: bytes = field(default=b"", repr=False)


async def reach(resource: Resource, *, timeout: float) -> Stream:
    """A connection to the resource, with TLS if its configuration says so. Raises ResourceError, ConfigError."""
    stream = await Stream.connect(resource.address, timeout=timeout)
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
        await _authenticate(stream, password)
        return await _greeting(stream)
    except EOFError:
        raise ResourceError("The resource's server closed the connection during login.", hint=OPERATOR) from None


async def cancel(resource: Resource, greeting: Greeting, *, timeout: float) -> None:
    """Ask the server to give up what the greeted session runs. Raises ResourceError."""
    stream = await reach(resource, timeout=timeout)
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


OPERATOR = "Ask an operator to check the resource's configuration; nothing was executed."


async def _authenticate(stream: Stream, password: str) -> None:
    scram = Scram(password, base64.b64encode(os.urandom(18)).decode())
    proven = asked = False
    while True:
        kind, body = await _challenge(stream)
        if kind == OK:
            if asked and not proven:
                raise ResourceError("The server ended the login without proving itself.", code="resource.login")
            return
        if kind == SASL and not asked and MECHANISM.encode() in body.split(b"\0"):
            asked, first = True, scram.first()
            _answer(stream, MECHANISM.encode() + b"\0" + len(first).to_bytes(4, "big") + first)
        elif kind == SASL_CONTINUE and asked:
            _answer(stream, await asyncio.to_thread(scram.final, body))
        elif kind == SASL_FINAL and asked:
            scram.check(body)
            proven = True
        elif kind == MD5 and not asked and len(body) == 4:
            _answer(stream, password, body)
        elif kind == CLEAR and not asked and (stream.secure or _on_loopback(stream)):
            _answer(stream, password.encode() + b"\0")
        else:
            raise ResourceError("The server asks for a login that is not accepted.", hint=OPERATOR, code="resource.login")
