"""What an agent is told when its connection does not come about; whole connections are in tests/e2e."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError
from tidegate.model.resource import Address, Resource
from tidegate.protocols import http_opening
from tidegate.protocols.http import impact, options, reading, redacted, serve
from unit.protocols.test_postgres_startup import Line

API = Resource("api", "http", Address("127.0.0.1", 1))
SHOP = Resource("shop", "other", Address("127.0.0.1", 1))


class Wired(Line):
    """A line that cannot be closed by halves, like TLS."""

    def can_write_eof(self) -> bool:
        return False


class Door:
    """Knows one resource and admits nobody, but keeps what it was asked."""

    tls = None
    limits = SimpleNamespace(handshake=5)
    asked: tuple[str, Resource | None] | None = None

    def resource(self, name: str) -> Resource | None:
        return {"api": API, "shop": SHOP}.get(name)

    async def admit(self, credential: str, resource: Resource | None, **facts: object) -> None:
        self.asked = (credential, resource)
        raise AgentError("The token does not hold.", hint="Ask for one.", code="token.signature")


def connect(data: bytes, own: Resource | None = None, address: str = "127.0.0.1") -> tuple[Door, bytes]:
    """What the door was asked, and what the agent was told."""
    door, line = Door(), Wired(address)

    async def conversation() -> None:
        stream = Stream()
        stream.connection_made(line)
        stream.data_received(data)
        asyncio.get_running_loop().call_later(0.05, stream.connection_lost, None)
        facade: Any = door
        with pytest.raises((AgentError, EOFError)):
            await serve(stream, facade, own)

    asyncio.run(conversation())
    return door, line.written


def get(target: str, *fields: str, host: str = "gw") -> bytes:
    """A request."""
    return "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {host}", *fields]).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "host", "own", "found"),
    [
        ("/r/api/x", "gw", None, API),
        ("/x", "api.gw.example", None, API),
        ("/r/nothing/x", "gw", None, None),
        ("/r/shop/x", "gw", None, None),
        ("/x", "gw", None, None),
        ("/x", "gw", API, API),
    ],
)
def test_which_resource(target: str, host: str, own: Resource | None, found: Resource | None) -> None:
    """It is named by the host, by the path, or by the port; another protocol's is unknown here."""
    door, told = connect(get(target, "Authorization: Bearer abc", host=host), own)
    assert door.asked == ("abc", found)
    assert told.startswith(b"HTTP/1.1 401 ") and b"Connection: close" in told


def test_a_token_is_asked_for() -> None:
    """Nobody is admitted, or rebuked, who presents none."""
    door, told = connect(get("/r/api/x"))
    assert door.asked is None and told.startswith(b"HTTP/1.1 401 ") and b"WWW-Authenticate: Bearer" in told


def test_unknown_resources_look_like_bad_tokens() -> None:
    """The agent is told the same in both cases."""
    token = "Authorization: Bearer abc"
    assert connect(get("/r/api/x", token))[1] == connect(get("/r/nothing/x", token))[1]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"\0\0\0\x08\x04\xd2\x16\x2f\r\n\r\n", 400),
        (get("/" + "a" * 9000), 414),
        (get("/", f"X: {'a' * 40_000}"), 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, 431),
        (get("http://169.254.169.254/", host="169.254.169.254"), 421),
    ],
)
def test_what_is_no_request(data: bytes, status: int) -> None:
    """Is told so as a problem, before anybody is admitted."""
    door, told = connect(data)
    assert door.asked is None and told.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(told.partition(b"\r\n\r\n")[2])["status"] == status


def test_plaintext_is_for_loopback() -> None:
    """Anywhere else TLS is required, and the token is not looked at."""
    door, told = connect(get("/r/api/x", "Authorization: Bearer abc"), address="192.0.2.1")
    assert door.asked is None and b"agent.plaintext" in told


def test_half_a_head_is_nothing() -> None:
    """Whoever leaves in the middle is told nothing."""
    assert connect(b"GET / HTTP/1.1\r\nHo")[1] == b""


@pytest.mark.parametrize(
    "given",
    [
        {"host": "a b"},
        {"host": 1},
        {"header": "Host"},
        {"header": "X: y"},
        {"redirects": "follow"},
        {"never": "heard"},
        {"cleartext": 1},
    ],
)
def test_options_that_are_wrong(given: dict[str, object]) -> None:
    """Are found when the settings are read."""
    with pytest.raises(ConfigError):
        options(Resource("api", "http", Address("a", 1), options=given))


def test_an_attempt_cannot_be_tried() -> None:
    """And a request is shown as it is."""
    nobody: Any = None
    assert asyncio.run(impact(nobody, API, nobody, run=False)).unknown
    assert "GET /a" in reading("GET /a").text and "secret" not in redacted("GET /a?b=secret")
    assert http_opening.ALPN == "http/1.1"
