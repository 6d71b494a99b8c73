"""A connection to the resource's server: TCP, TLS, the resource's own login, and what the session begins in.

Invariants: the password is sent only over TLS or loopback, or as an operator has configured it (``tls: disable``); a
server in cluster or sentinel mode is refused, because keys would lie elsewhere; an error of the server's is reduced to
its code. There is no falling back to plaintext or to another version of the protocol.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, ResourceError
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.wire.redis_frames import CRLF, ERROR, Scanner, encoded, items, number

OPERATOR = "Ask an operator to check the resource's configuration; nothing was executed."
LIMIT = 64 * 1024
"""Bytes of one reply during the login, and of each answer to the gateway's own questions."""

LOGIN = "resource.login"
FAULTS = {"WRONGPASS": LOGIN, "NOAUTH": LOGIN, "NOPERM": LOGIN, "NOPROTO": "resource.version"}
"""Codes of the server's errors that agents are told apart; a login that is refused may be tried with a newer secret."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session begins in: version of the protocol, name of the connection, number of the database."""

    protocol: int
    name: str
    database: int


async def enter(resource: Resource, credential: Credential, wanted: Wanted, patience: float) -> tuple[Stream, bytes]:
    """Reach the resource and log in; gives the stream and the server's answer to HELLO. Raises ResourceError,
    ConfigError, AgentError."""
    stream = await _reach(resource, patience)
    try:
        return stream, await login(stream, credential, wanted)
    except EOFError:
        await stream.close()
        raise ResourceError("The resource's server closed the connection during login.", hint=OPERATOR) from None
    except BaseException:
        await stream.close()
        raise


async def login(stream: Stream, credential: Credential, wanted: Wanted) -> bytes:
    """Authenticate, choose the version, and see that the server stands alone; gives its answer to HELLO."""
    if credential.password:
        user = [credential.user.encode()] if credential.user else []
        await must(stream, [b"AUTH", *user, credential.password.encode()])
    hello = await ask(stream, [b"HELLO", b"%d" % wanted.protocol])
    if hello[0] == ERROR:
        raise _unspoken(hello, wanted.protocol)
    mode = fields(hello).get(b"mode", b"")
    if mode != b"standalone":
        raise ResourceError(
            f"The resource's server is in {mode.decode('ascii', 'replace')[:20] or 'an unknown'} mode.",
            hint="Only a server that stands alone is supported: name the node itself as the resource, without cluster.",
            code="resource.cluster",
        )
    await must(stream, [b"CLIENT", b"SETNAME", wanted.name.encode()])
    if wanted.database:
        await must(stream, [b"SELECT", b"%d" % wanted.database])
    return hello


async def ask(stream: Stream, args: list[bytes]) -> bytes:
    """One command and its reply, whole. Raises ResourceError, EOFError."""
    stream.write(encoded(args))
    data, at, scanner = b"", 0, Scanner()
    while not scanner.done:
        data += await stream.exactly(1) + stream.unread()
        at = scanner.feed(data, at)
        if len(data) > LIMIT:
            raise ResourceError("The resource's server sent too long a reply.", hint=OPERATOR, code="resource.answer")
    if at != len(data):
        raise ResourceError("The resource's server said more than it was asked.", hint=OPERATOR)
    return data


async def must(stream: Stream, args: list[bytes]) -> bytes:
    """The same, for what has to succeed. Raises ResourceError with the error's code, never its text."""
    reply = await ask(stream, args)
    if reply[0] == ERROR:
        word = code(reply)
        wrong = args[0] == b"AUTH"
        raise ResourceError(
            f"The resource's server refused {args[0].decode()} ({word}).",
            hint=OPERATOR,
            code=LOGIN if wrong else FAULTS.get(word, "resource.answer"),
        )
    return reply


def code(reply: bytes) -> str:
    """The first word of an error, if it is a code."""
    word = reply[1:].split(None, 1)[0][:20]
    return word.decode() if word.isalnum() and word.isupper() else "ERR"


def fields(reply: bytes) -> dict[bytes, bytes]:
    """A map of strings, as RESP3 gives it or flat; values of other types are left out. Raises ResourceError."""
    stop = reply.index(CRLF)
    count, at = items(reply, 0, stop), stop + 2
    parts: list[bytes] = []
    for _ in range(max(0, count)):
        scanner = Scanner()
        end = scanner.feed(reply, at)
        parts.append(_string(reply[at:end]))
        at = end
    return dict(zip(parts[::2], parts[1::2], strict=False))


def _string(value: bytes) -> bytes:
    stop = value.find(CRLF)
    if value[:1] == b"$" and number(value, 1, stop) >= 0:
        return value[stop + 2 : -2]
    return value[1:stop] if value[:1] == b"+" else b""


def _unspoken(reply: bytes, protocol: int) -> Exception:
    word = code(reply)
    if word in ("NOAUTH", "NOPERM", "WRONGPASS"):
        return ResourceError(f"The resource's server refused HELLO ({word}).", hint=OPERATOR, code=LOGIN)
    if protocol == 3:
        return AgentError(
            "The resource's server does not speak RESP3.", hint="Connect with RESP2.", code="resource.version"
        )
    return ResourceError(
        f"The resource's server does not know HELLO ({word}).",
        hint="It must be Redis 6 or later.",
        code="resource.version",
    )


async def _reach(resource: Resource, patience: float) -> Stream:
    stream = await Stream.connect(resource.address, timeout=patience)
    if resource.tls == "disable":
        return stream
    try:
        await stream.start_tls(_context(resource), server_side=False, hostname=resource.address.host)
    except BaseException:
        await stream.close()
        raise
    return stream


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
