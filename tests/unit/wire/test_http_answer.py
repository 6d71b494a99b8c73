"""What the agent gets of an answer's head."""

from __future__ import annotations

import pytest

from tidegate.errors import ResourceError
from tidegate.model.verdict import Refuse
from tidegate.wire.http_answer import shown
from tidegate.wire.http_head import answer_head
from tidegate.wire.http_places import Origin
from tidegate.wire.http_problem import _REASONS, line, problem, status

AT = Origin("https", "api.internal", b"/r/shop")


def fields(*said: str, changed: bool = False, first: str = "HTTP/1.1 200 OK") -> list[bytes]:
    """The fields that pass."""
    head = answer_head("\r\n".join([first, *said]).encode() + b"\r\n\r\n")
    return shown(head, AT, b"/", changed=changed, mask=None)


@pytest.mark.parametrize(
    "field",
    [
        "Connection: X-One",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
        "WWW-Authenticate: Basic",
        "Upgrade: h2",
        'Alt-Svc: h3=":443"',
        "Strict-Transport-Security: max-age=1",
        "Public-Key-Pins: x",
        "Transfer-Encoding: chunked",
        "Content-Length: 3",
        "Set-Cookie: tidegate=1",
        "Content-Location: https://evil.example/",
        "Refresh: 0;url=https://evil.example/",
        "Location: https://evil.example/",
        "Clear-Site-Data: *",
    ],
)
def test_what_is_not_for_the_agent_stays_here(field: str) -> None:
    """Fields of one connection, of the gateway's own host, and what leads past the gateway."""
    assert fields(field, "X-One: 1" if "X-One" in field else "X: 1") == ([] if "X-One" in field else [b"X: 1\r\n"])


def test_what_tells_of_another_body() -> None:
    """Goes when the body is changed, and else stays."""
    said = ("Content-Encoding: gzip", 'ETag: "1"', "Digest: x", "Content-MD5: x", "Accept-Ranges: bytes", "X: 1")
    assert len(fields(*said)) == 6 and fields(*said, changed=True) == [b"X: 1\r\n"]


def test_a_redirect_leads_to_the_gateway_or_is_withheld() -> None:
    """Whatever its status."""
    assert fields("Location: /a", first="HTTP/1.1 307 x") == [b"Location: /r/shop/a\r\n"]
    for code in (300, 301, 302, 303, 307, 308):
        with pytest.raises(ResourceError) as caught:
            fields("Location: https://evil.example/", first=f"HTTP/1.1 {code} x")
        assert caught.value.code == "resource.redirect"


def test_every_status_has_a_reason() -> None:
    """Whatever code an error has, a line can be said."""
    for code in ("http.target", "token.expired", "resource.lost", "audit.unavailable", "never.heard", "agent.alpn"):
        assert line(status(code)).startswith(b"HTTP/1.1 ") and status(code) in _REASONS


def test_a_refused_head_has_no_body() -> None:
    """But says how long it would be; an agent without a valid token is told how to present one."""
    said = problem(Refuse("token.expired", "tidegate", "no"), close=True, body=False)
    assert said.startswith(b"HTTP/1.1 401 Unauthorized\r\n") and said.endswith(b"\r\n\r\n")
    assert b"WWW-Authenticate: Bearer" in said and b"Connection: close\r\n" in said
