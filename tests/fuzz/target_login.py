"""What a false upstream says while the gateway logs in to it.

Input: a byte for the protocol's minor version, then what the upstream says. The upstream is not on loopback and has no
TLS, so that the password must not reach it in clear; it does not know the password, so that SCRAM cannot succeed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import suppress

from tidegate.errors import ResourceError
from tidegate.model.resource import Address, Resource
from tidegate.model.secret import Credential
from tidegate.protocols._scram import Scram
from tidegate.protocols.postgres_login import login

from .server import messages
from .target_opening import Line, heard

PASSWORD = "correct horse battery"
SHOP = Resource("shop", "postgres", Address("192.0.2.1", 5432), "shop", "gw")
ECHOES = (PASSWORD.encode(), PASSWORD.encode().hex().encode(), base64.b64encode(PASSWORD.encode()))


async def _log_in(line: Line, data: bytes) -> None:
    stream = heard(line, data[1:])
    greeting = await login(stream, Credential(SHOP.user, PASSWORD), {"database": "shop"}, data[0] % 3)
    assert len(greeting.settings) <= 100 and len(greeting.secret) <= 256, "what is kept of a login has no bound"
    kinds = [body[3:4] for tag, body in messages(data[1:]) if tag == b"R"]
    assert b"\x0a" not in kinds[:1], "SCRAM succeeded with a server that does not know the password"


def _exchange(data: bytes) -> None:
    """The same lies with the right nonce, which no honest chance would hit."""
    first, _, last = data.partition(b"\n")
    scram = Scram(PASSWORD, "nonce")
    scram.final(first)
    scram.check(last)
    raise AssertionError("SCRAM succeeded with a server that does not know the password")


def target(data: bytes) -> None:
    """One upstream's side of a login."""
    if not data:
        return
    line = Line("192.0.2.1")
    with suppress(ResourceError):
        asyncio.run(_log_in(line, data))
    assert not any(echo in line.written for echo in ECHOES), "the password was sent in clear"
    hashed = hashlib.md5((PASSWORD + SHOP.user).encode(), usedforsecurity=False).hexdigest().encode()
    assert hashed not in line.written, "the stored form of the password was sent"
    with suppress(ResourceError):
        _exchange(data)
