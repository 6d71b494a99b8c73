"""How an agent proves who it is: a certificate, a token as its password, or a token by SASL OAUTHBEARER.

The server speaks first and may ask for one thing only, and a driver that is asked for OAUTHBEARER without being set up
for it gives up. So a certificate that came with the TLS handshake is enough, the password is what everybody is asked
for, and an agent that wants OAUTHBEARER says so by the startup option ``tidegate.auth=oauth``. Nothing here keeps or
shows what was presented. Source: RFC 7628; PostgreSQL documentation, "SASL Authentication".
"""

from __future__ import annotations

import contextlib
import json

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, Refused, TidegateError
from tidegate.wire.postgres_messages import message

from .postgres_parameters import Startup

LIMIT = 10 * 1024
MECHANISM = b"OAUTHBEARER"
CLEAR, SASL, SASL_CONTINUE = 3, 10, 11
ABSENT = 0xFFFFFFFF
SEPARATOR = b"\x01"

_HINT = "Present the token as the password."


async def credential(stream: Stream, startup: Startup) -> str | bytes:
    """What the agent presents: a token, or its certificate in DER. Raises AgentError, EOFError."""
    certificate = stream.certificate()
    if certificate:
        return certificate
    return await bearer(stream) if startup.oauth else await password(stream)


async def password(stream: Stream) -> str:
    """Ask for the token as a cleartext password. Raises AgentError."""
    stream.write(message(b"R", CLEAR.to_bytes(4, "big")))
    body = await _answer(stream)
    if body.find(b"\0") != len(body) - 1:
        raise AgentError("The password message is malformed.", hint=_HINT)
    return body[:-1].decode("utf-8", "replace")


async def bearer(stream: Stream) -> str:
    """Ask for the token by OAUTHBEARER. Raises AgentError; a driver that asks where to get one has no token yet."""
    stream.write(message(b"R", SASL.to_bytes(4, "big") + MECHANISM + b"\0\0"))
    mechanism, _, rest = (await _answer(stream)).partition(b"\0")
    length, first = int.from_bytes(rest[:4], "big"), rest[4:]
    if mechanism != MECHANISM or len(rest) < 4 or length == ABSENT or length != len(first):
        raise _malformed()
    scheme, _, token = _authorisation(first).partition(" ")
    if scheme.lower() not in ("bearer", ""):
        raise _malformed()
    return token.strip(" ")


async def decline(stream: Stream, error: TidegateError) -> None:
    """Tell an OAUTHBEARER agent that its token does not do (RFC 7628 section 3.2.2) and hear its dummy answer."""
    status = "insufficient_scope" if isinstance(error, Refused) else "invalid_token"
    stream.write(message(b"R", SASL_CONTINUE.to_bytes(4, "big") + json.dumps({"status": status}).encode()))
    with contextlib.suppress(AgentError, EOFError):
        await _answer(stream)


def _authorisation(first: bytes) -> str:
    """The value of ``auth`` in a client's first message (RFC 7628 section 3.1): ``n,,`` and pairs between ^A."""
    header, *pairs = first.split(SEPARATOR)
    # An authorization identity in the header would name somebody besides the token; channel binding is not offered.
    if header not in (b"n,,", b"y,,") or len(pairs) < 3 or pairs[-2:] != [b"", b""]:
        raise _malformed()
    found = [value for name, _, value in (pair.partition(b"=") for pair in pairs[:-2]) if name == b"auth"]
    if len(found) != 1 or not found[0].isascii():
        raise _malformed()
    return found[0].decode("ascii")


async def _answer(stream: Stream) -> bytes:
    """The body of the agent's next message, which must belong to authentication."""
    tag, length = await stream.exactly(1), int.from_bytes(await stream.exactly(4), "big")
    if tag != b"p" or not 5 <= length <= LIMIT:
        raise AgentError("A password message was expected.", hint=_HINT)
    return await stream.exactly(length - 4)


def _malformed() -> AgentError:
    return AgentError("The OAUTHBEARER message is malformed.", hint="Check the driver.", code="agent.malformed")
