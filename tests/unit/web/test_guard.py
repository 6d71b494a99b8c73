"""What every request passes."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from tidegate.web import guard
from tidegate.web.guard import BODY_LIMIT
from unit.web.world import World


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost.evil", "[::1]x", "localhost:1@evil"]
)
def test_foreign_host_is_refused(staffed: World, host: str) -> None:
    """A name that is not the gateway's own is refused before any route: DNS rebinding finds nothing."""
    answer = staffed.http.get("/health", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "request.host")


def status(receive: Receive, *hosts: bytes) -> int:
    """The status of a request with these Host headers that never gets to the application."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("it got through")

    scope = {"type": "http", "method": "POST", "headers": [(b"host", host) for host in hosts]}
    asyncio.run(guard.Guard(application, frozenset({"localhost"}))(scope, receive, send))
    return int(sent[0]["status"])


async def silence() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_two_hosts_are_refused() -> None:
    """Two Host headers are read differently by different readers (RFC 9112 section 3.2)."""
    assert status(silence, b"evil.example", b"localhost") == 421


def test_a_body_that_never_arrives_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place at the API is not held by a body that does not come."""
    monkeypatch.setattr(guard, "PATIENCE", 0.01)
    assert status(silence, b"localhost") == 408


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7443", "[::1]:7443", "LOCALHOST"])
def test_own_host_is_served(staffed: World, host: str) -> None:
    """Loopback's names are served with and without a port."""
    assert staffed.http.get("/health", headers={"Host": host}).status_code == 200


def test_large_body_is_refused(staffed: World) -> None:
    """A body beyond the limit is refused by its declared length."""
    answer = staffed.http.post("/enrol", content=b"x" * (BODY_LIMIT + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "request.large")


def test_large_body_without_length_is_refused(staffed: World) -> None:
    """A chunked body beyond the limit is refused while it arrives."""
    answer = staffed.http.post("/enrol", content=iter([b"x" * BODY_LIMIT, b"y"]))
    assert (answer.status_code, answer.json()["code"]) == (413, "request.large")


@pytest.mark.parametrize("path", ["/health", "/nothing", "/me"])
def test_security_headers_are_on_every_answer(staffed: World, path: str) -> None:
    """Good answers and problems alike forbid caching, framing, sniffing and scripts."""
    headers = staffed.http.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
