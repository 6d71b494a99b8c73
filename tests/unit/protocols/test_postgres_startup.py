"""The beginning of a connection: what may be asked for, and in which order."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError
from tidegate.protocols.postgres_startup import (
    CANCEL,
    ENCRYPT,
    ENCRYPT_GSS,
    Startup,
    greet,
    resource_name,
    settings,
    token,
)

V3 = 3 << 16


def packet(code: int, body: bytes = b"") -> bytes:
    """A packet without a tag."""
    return (len(body) + 8).to_bytes(4, "big") + code.to_bytes(4, "big") + body


def startup(*pairs: str, code: int = V3) -> bytes:
    """A startup packet."""
    return packet(code, "".join(f"{part}\0" for part in pairs).encode() + b"\0")


class Desk:
    """Keeps the keys that cancel requests brought."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bytes]] = []

    async def cancel(self, number: int, secret: bytes) -> None:
        self.asked.append((number, secret))


class Line(asyncio.Transport):
    """A transport that keeps what is written; its own end is on ``host``."""

    def __init__(self, host: str) -> None:
        super().__init__({"sockname": (host, 5432), "peername": ("127.0.0.1", 1)})
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return False


def meet(data: bytes, host: str = "127.0.0.1") -> tuple[Startup | None, bytes, Desk]:
    """Greet an agent that says ``data`` and leaves."""
    desk, line = Desk(), Line(host)
    door: Any = SimpleNamespace(tls=None, cancels=lambda: desk)

    async def conversation() -> Startup | None:
        stream = Stream()
        stream.connection_made(line)
        stream.data_received(data)
        stream.eof_received()
        return await greet(stream, door)

    return asyncio.run(conversation()), line.written, desk


def test_plain_startup() -> None:
    """The database names the resource; harmless settings pass, the user's name does not count."""
    found, said, _ = meet(startup("user", "x", "database", "shop", "TimeZone", "UTC", "application_name", "psql"))
    assert found == Startup("shop", {"timezone": "UTC"}) and said == b""


def test_encryption_is_answered_in_order() -> None:
    """Without TLS at hand both requests are declined, then the startup goes on."""
    found, said, _ = meet(packet(ENCRYPT_GSS) + packet(ENCRYPT) + startup("user", "x"))
    assert found is not None and said == b"NN"


def test_encryption_is_asked_for_once() -> None:
    """A second request for encryption is an error, so that nobody can loop."""
    with pytest.raises(AgentError):
        meet(packet(ENCRYPT) + packet(ENCRYPT) + startup("user", "x"))


def test_cancel_request() -> None:
    """A cancel request goes to the desk and needs nothing else."""
    found, said, desk = meet(packet(CANCEL, (7).to_bytes(4, "big") + b"abcd"))
    assert (found, said, desk.asked) == (None, b"", [(7, b"abcd")])


def test_newer_minor_version_is_negotiated_down() -> None:
    """Protocol 3.2 and unknown options are answered with 3.0."""
    found, said, _ = meet(startup("user", "x", "_pq_.trace", "on", code=V3 + 2))
    assert found is not None
    assert said == b"v\0\0\0\x17" + bytes(4) + (1).to_bytes(4, "big") + b"_pq_.trace\0"


@pytest.mark.parametrize(
    "data",
    [
        packet(2 << 16),
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\r\n",
        b"\0\0\0\4",
        packet(V3, b"user\0x"),
        packet(V3, b"user\0\xff\0\0"),
        packet(V3, b"user\0\0"),
    ],
)
def test_other_beginnings(data: bytes) -> None:
    """What is no startup packet is the agent's fault."""
    with pytest.raises(AgentError):
        meet(data)


def test_plaintext_only_on_loopback() -> None:
    """On any other address TLS is required."""
    with pytest.raises(AgentError, match="TLS"):
        meet(startup("user", "x"), host="192.0.2.1")


@pytest.mark.parametrize(
    "given",
    [
        {"search_path": "evil"},
        {"replication": "database"},
        {"role": "postgres"},
        {"client_encoding": "SJIS"},
        {"standard_conforming_strings": "off"},
        {"session_replication_role": "replica"},
        {"default_transaction_read_only": "off"},
        {"statement_timeout": "0"},
        {"options": "-c search_path=evil"},
        {"options": "-c timezone=UTC -csearch_path=evil"},
        {"options": "--search-path=evil"},
        {"options": "-c timezone=UTC -S 1"},
        {"options": r"-c timezone=a\ -crole=b -c role=x"},
    ],
)
def test_refused_parameters(given: dict[str, str]) -> None:
    """What could change how statements are read, or what they may do, is refused."""
    with pytest.raises(AgentError) as caught:
        settings(given)
    assert caught.value.code == "agent.setting"


def test_options() -> None:
    """Options are read as the server reads them, escapes included."""
    text = r"-c datestyle=ISO,\ DMY --lock-timeout=5s -ctimezone=UTC"
    assert settings({"options": text}) == {"datestyle": "ISO, DMY", "lock_timeout": "5s", "timezone": "UTC"}


@pytest.mark.parametrize("encoding", ["UTF8", "utf-8", "'utf-8'", "Unicode"])
def test_unicode_by_any_name(encoding: str) -> None:
    """Drivers spell UTF-8 in several ways."""
    assert settings({"client_encoding": encoding}) == {}


def test_names() -> None:
    """A database name is a resource, or a resource and a database of it."""
    assert (resource_name("shop"), resource_name("shop/stock")) == (("shop", ""), ("shop", "stock"))


@pytest.mark.parametrize("data", [b"p\0\0\0\4", b"p\0\1\0\0", b"Q\0\0\0\x08abc\0", b"p\0\0\0\x08a\0b\0"])
def test_malformed_password(data: bytes) -> None:
    """Only a password message of reasonable size is taken."""

    async def conversation() -> str:
        stream = Stream()
        stream.connection_made(Line("127.0.0.1"))
        stream.data_received(data)
        stream.eof_received()
        return await token(stream)

    with pytest.raises(AgentError):
        asyncio.run(conversation())
