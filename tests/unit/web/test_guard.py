"""What every request passes."""

from __future__ import annotations

import pytest

from tidegate.web.guard import BODY_LIMIT
from unit.web.world import World


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost.evil"])
def test_foreign_host_is_refused(staffed: World, host: str) -> None:
    """A name that is not the gateway's own is refused before any route: DNS rebinding finds nothing."""
    answer = staffed.http.get("/health", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (421, "request.host")


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
