"""The beginning of an agent's connection: TLS from the first byte, and AUTH or HELLO, which name resource and token.

Before that an agent may say PING, QUIT, and HELLO without AUTH, which the server too answers by asking for it. TLS is
not negotiated by this protocol: its handshake comes first, or the connection is plain, which is for loopback only.
Source: redis.io, "AUTH", "HELLO", "TLS".
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from tidegate.enforcement.door import Door
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError
from tidegate.wire.redis_frames import ARRAY, Command, inline

LIMIT = 16 * 1024
"""Bytes of one command before the agent is known; tokens are shorter."""

COMMANDS = 16
"""Commands before the agent is known."""

HANDSHAKE = 0x16
"""The first byte of a TLS handshake; no command begins so."""

NOAUTH = (
    b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
    b"<pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n"
)
REQUIRED = b"-NOAUTH Authentication required. Send AUTH with the resource's name and a token.\r\n"
NOPROTO = b"-NOPROTO unsupported protocol version\r\n"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the agent said: the resource's name if it gave one, its token, and the version it speaks (2 or 3).

    ``hello``: it asked by HELLO, and the answer to that is the server's.
    """

    name: str
    token: str
    protocol: int = 2
    hello: bool = False


async def secure(stream: Stream, door: Door) -> None:
    """TLS if the agent begins with it; without it only on loopback. Raises AgentError, EOFError."""
    first = await stream.exactly(1)
    if first[0] == HANDSHAKE and door.tls is not None:
        head = first + await stream.exactly(4)
        length = int.from_bytes(head[3:5], "big")
        if length > LIMIT:
            raise AgentError("The TLS handshake begins with too long a record.", hint="Check the driver and the port.")
        await stream.start_tls(door.tls, server_side=True, begun=head + await stream.exactly(length))
        return
    stream.unfeed(first)
    if not loopback(stream, "sockname"):
        raise AgentError("TLS is required here.", hint="Use rediss:// or --tls.", code="agent.plaintext")


async def greet(stream: Stream) -> Greeting | None:
    """Everything up to AUTH, or HELLO with it; None when the agent leaves. Raises AgentError, EOFError."""
    for _ in range(COMMANDS):
        args = await _command(stream)
        name = args[0].lower() if args else b""
        if name == b"auth" and len(args) in (2, 3):
            return Greeting(_text(args[1]) if len(args) == 3 else "", _text(args[-1]))
        if name == b"hello":
            found = _hello(args)
            if isinstance(found, Greeting):
                return found
            stream.write(found)
        elif name == b"quit":
            stream.write(b"+OK\r\n")
            return None
        elif args:
            stream.write(b"+PONG\r\n" if name == b"ping" and len(args) == 1 else REQUIRED)
    raise AgentError("Too many commands before AUTH.", hint="Send AUTH first.")


def _hello(args: list[bytes]) -> Greeting | bytes:
    """HELLO [version [AUTH name token] [SETNAME name]]: who asks, or the answer if it does not say."""
    if len(args) > 1 and args[1] not in (b"2", b"3"):
        return NOPROTO
    protocol = int(args[1]) if len(args) > 1 else 2
    found: bytes | Greeting = NOAUTH
    at = 2
    while at < len(args):
        word = args[at].upper()
        if word == b"AUTH" and at + 2 < len(args):
            found = Greeting(_text(args[at + 1]), _text(args[at + 2]), protocol, hello=True)
            at += 3
        elif word == b"SETNAME" and at + 1 < len(args):
            at += 2
        else:
            return b"-ERR Syntax error in HELLO\r\n"
    return found


async def _command(stream: Stream) -> list[bytes]:
    """The next command; what follows it stays unread. Raises AgentError, EOFError."""
    data = b""
    command = Command(LIMIT)
    while True:
        data += await stream.exactly(1) + stream.unread()
        if data[0] == ARRAY:
            end = command.take(data, 0)
            if command.oversized >= 0:
                raise AgentError("Too much was sent before AUTH.", hint="Send AUTH first.", code="limit.message")
            if end >= 0:
                stream.unfeed(data[end:])
                return command.args
        else:
            found = inline(data, 0)
            if found is not None:
                stream.unfeed(data[found[1] :])
                return found[0]
        if len(data) > LIMIT + 64:
            raise AgentError("Too much was sent before AUTH.", hint="Send AUTH first.", code="limit.message")


def _text(word: bytes) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise AgentError("The name or token is not UTF-8.", hint="Check the token.", code="token.malformed") from None


def loopback(stream: Stream, end: str) -> bool:
    """Whether one end of a connection (``sockname``, ``peername``) is a loopback address."""
    address = stream.transport.get_extra_info(end)
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except (TypeError, ValueError, IndexError):
        return False
