"""The beginning of a connection: what may be asked for, and in which order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError
from tidegate.protocols.postgres_parameters import Startup
from tidegate.protocols.postgres_startup import CANCEL, ENCRYPT, ENCRYPT_GSS, greet, resource_name
from tidegate.wire.postgres_messages import message

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

    async def cancel(self, number: int, secret: bytes, peer: str) -> None:
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


def meet(*pieces: bytes, host: str = "127.0.0.1") -> tuple[Startup | None, bytes, Desk]:
    """Greet an agent that says these pieces, one in each turn of the loop, and leaves."""
    desk, line = Desk(), Line(host)
    door: Any = SimpleNamespace(tls=None, cancels=lambda: desk)

    async def conversation() -> Startup | None:
        stream = Stream()
        stream.connection_made(line)
        greeting = asyncio.ensure_future(greet(stream, door))
        for data in pieces:
            stream.data_received(data)
            await asyncio.sleep(0)
        stream.eof_received()
        return await greeting

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


@pytest.mark.parametrize(
    ("asked", "options", "spoken", "told"),
    [
        (0, (), 0, None),
        (2, (), 2, None),
        (1, (), 0, (0, 0)),
        (3, (), 2, (2, 0)),
        (9999, (), 2, (2, 0)),
        (0, ("_pq_.trace",), 0, (0, 1)),
        (2, ("_pq_.b", "_pq_.a"), 2, (2, 2)),
        (3, ("_pq_.x",), 2, (2, 1)),
    ],
)
def test_version_is_negotiated(asked: int, options: tuple[str, ...], spoken: int, told: tuple[int, int] | None) -> None:
    """3.0 and 3.2 are spoken; another minor version is brought down to one of them, and unknown options are listed."""
    pairs = [part for name in options for part in (name, "on")]
    found, said, _ = meet(startup("user", "x", *pairs, code=V3 + asked))
    assert found is not None and found.minor == spoken
    names = "".join(f"{name}\0" for name in options).encode()
    body = b"" if told is None else (V3 + told[0]).to_bytes(4, "big") + told[1].to_bytes(4, "big") + names
    assert said == (message(b"v", body) if told is not None else b"")


BEGINNINGS = [
    packet(ENCRYPT_GSS) + packet(ENCRYPT) + startup("user", "x", "database", "shop", "options", "-c timezone=UTC"),
    packet(ENCRYPT) + packet(ENCRYPT_GSS) + startup("user", "x", "_pq_.y", "1", code=V3 + 9),
    packet(CANCEL, (7).to_bytes(4, "big") + b"k" * 32),
    packet(ENCRYPT) + packet(CANCEL, (7).to_bytes(4, "big") + b"abcd"),
    packet(2 << 16),
    b"GET / HTTP/1.1\r\n",
]


@given(st.sampled_from(BEGINNINGS), st.lists(st.integers(1, 120), max_size=6))
def test_any_split_of_a_beginning_is_the_same(data: bytes, cuts: list[int]) -> None:
    """However the bytes arrive, the same is understood and the same is answered."""

    def outcome(*pieces: bytes) -> object:
        try:
            found, said, desk = meet(*pieces)
        except AgentError as error:
            return error.code
        return found, said, desk.asked

    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    assert outcome(*(data[a:b] for a, b in pairwise(places))) == outcome(data)


@given(st.binary(max_size=200))
def test_garbage_is_an_error_or_a_beginning(data: bytes) -> None:
    """Whatever comes first, it ends in a startup, a cancel, or an error of the tree; nothing else escapes."""
    with suppress(AgentError, EOFError):
        meet(data)


@pytest.mark.parametrize("secret", [b"", b"x" * 257])
def test_keys_of_impossible_length(secret: bytes) -> None:
    """A cancel request without a secret, or with too long a one, is dropped."""
    assert meet(packet(CANCEL, (7).to_bytes(4, "big") + secret))[2].asked == []


def test_options_of_the_packet_win() -> None:
    """A setting in the packet wins over the same one in its options, as in the server."""
    found, _, _ = meet(startup("TimeZone", "UTC", "options", "-c timezone=Asia/Tokyo"))
    assert found is not None and found.settings == {"timezone": "UTC"}


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


def test_names() -> None:
    """A database name is a resource, or a resource and a database of it."""
    assert (resource_name("shop"), resource_name("shop/stock")) == (("shop", ""), ("shop", "stock"))
