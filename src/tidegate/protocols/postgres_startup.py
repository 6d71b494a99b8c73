"""The beginning of an agent's connection: encryption, cancel requests, the startup packet, the token.

Why an allow-list: a startup parameter is a setting, and a setting can change how statements are read (rule 9) or what
they may do. Before authentication a packet is at most ``LIMIT`` bytes, and encryption is negotiated at most once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.enforcement.door import Door
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError
from tidegate.wire.postgres_messages import message

LIMIT = 10 * 1024
CANCEL, ENCRYPT, ENCRYPT_GSS = 80877102, 80877103, 80877104
MAJOR = 3

SETTINGS = frozenset(
    {
        "bytea_output",
        "client_min_messages",
        "datestyle",
        "extra_float_digits",
        "intervalstyle",
        "lock_timeout",
        "timezone",
    }
)
"""Settings that an agent may bring along: they change how values look, or make the server stricter."""

UNICODE = frozenset({"utf8", "utf-8", "unicode"})
IGNORED = frozenset({"application_name", "fallback_application_name"})
"""The gateway sets its own application_name, so that the server's log names the session."""

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:[^\s\\]|\\.)*)(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Startup:
    """What the agent asks for: a database name, which names the resource too, and settings for the session."""

    database: str
    settings: Mapping[str, str]


async def greet(stream: Stream, door: Door) -> Startup | None:
    """Everything up to the startup packet; None if the connection was a cancel request. Raises AgentError."""
    offered = {ENCRYPT, ENCRYPT_GSS}
    while True:
        code, body = await _packet(stream)
        if code == CANCEL:
            await door.cancels().cancel(int.from_bytes(body[:4], "big"), body[4:])
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


async def token(stream: Stream) -> str:
    """Ask for the credential as a cleartext password. Raises AgentError."""
    stream.write(message(b"R", (3).to_bytes(4, "big")))
    tag, length = await stream.exactly(1), int.from_bytes(await stream.exactly(4), "big")
    if tag != b"p" or not 5 <= length <= LIMIT:
        raise AgentError("A password message was expected.", hint="Present the token as the password.")
    body = await stream.exactly(length - 4)
    if body.find(b"\0") != len(body) - 1:
        raise AgentError("The password message is malformed.", hint="Present the token as the password.")
    return body[:-1].decode("utf-8", "replace")


def resource_name(database: str) -> tuple[str, str]:
    """Resource and database from ``resource`` or ``resource/database``; the latter is empty when not named."""
    name, _, inner = database.partition("/")
    return name, inner


async def _packet(stream: Stream) -> tuple[int, bytes]:
    length = int.from_bytes(await stream.exactly(4), "big")
    if not 8 <= length <= LIMIT:
        raise AgentError("This is not a PostgreSQL startup packet.", hint="Check the driver and the port.")
    body = await stream.exactly(length - 4)
    return int.from_bytes(body[:4], "big"), body[4:]


def _startup(stream: Stream, code: int, body: bytes) -> Startup:
    if code >> 16 != MAJOR:
        raise AgentError("Only protocol version 3 is spoken here.", hint="Use a newer driver.", code="agent.version")
    given = _parameters(body)
    extensions = [name for name in given if name.startswith("_pq_.")]
    if code & 0xFFFF or extensions:
        names = b"".join(name.encode() + b"\0" for name in extensions)
        stream.write(message(b"v", (0).to_bytes(4, "big") + len(extensions).to_bytes(4, "big") + names))
    given = {name: value for name, value in given.items() if name not in extensions}
    return Startup(given.pop("database", ""), settings(given))


def _parameters(body: bytes) -> dict[str, str]:
    try:
        parts = body.decode("utf-8").split("\0")
    except UnicodeDecodeError:
        raise AgentError("The startup packet is not UTF-8.") from None
    if len(parts) < 2 or len(parts) % 2 or parts[-2:] != ["", ""]:
        raise AgentError("The startup packet is malformed.", hint="Check the driver and the port.")
    return dict(zip(parts[:-2:2], parts[1:-2:2], strict=True))


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """The settings among startup parameters that may pass. Raises AgentError for any that may not."""
    out: dict[str, str] = {}
    for name, value in given.items():
        lower = name.lower()
        if lower == "options":
            out |= settings(_options(value))
        elif lower in SETTINGS:
            out[lower] = value
        elif lower == "client_encoding":
            if value.strip("'\" ").lower() not in UNICODE:
                raise AgentError("Only client_encoding UTF8 is spoken here.", code="agent.setting")
        elif lower != "user" and lower not in IGNORED:
            raise AgentError(
                f"The startup parameter {name[:63]!r} is not accepted.",
                hint=f"Leave it out; accepted are {', '.join(sorted(SETTINGS))}.",
                code="agent.setting",
            )
    return out


def _options(text: str) -> dict[str, str]:
    """Settings in ``options`` (``-c name=value`` or ``--name=value``). Raises AgentError for anything else."""
    out: dict[str, str] = {}
    text, at = text.strip(), 0
    while at < len(text):
        found = _OPTION.match(text, at)
        if found is None:
            raise AgentError("Only -c name=value is accepted in options.", code="agent.setting")
        out[found[1].replace("-", "_")] = re.sub(r"\\(.)", r"\1", found[2])
        at = found.end()
    return out


def loopback(stream: Stream, end: str) -> bool:
    """Whether one end of a connection (``sockname``, ``peername``) is a loopback address."""
    address = stream.transport.get_extra_info(end)
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except (TypeError, ValueError, IndexError):
        return False
