"""How cookies are guarded."""

from __future__ import annotations

from starlette.responses import Response

from tidegate.web.browser.cookies import FLOW, VISIT, Cookies


def test_over_https() -> None:
    """The name says that this host alone set it, over TLS, for all paths; scripts and other sites have no use of it."""
    answer = Response()
    Cookies(True).put(answer, VISIT, "v", life=60)
    header = answer.headers["set-cookie"]
    assert header.startswith("__Host-tidegate=v;")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=strict", "Max-Age=60"} <= set(header.split("; "))
    assert "Domain" not in header


def test_the_way_back_from_a_provider() -> None:
    """Only the cookie that binds a provider's login comes along from there."""
    answer = Response()
    Cookies(True).put(answer, FLOW, "f", life=60, same_site="lax")
    assert "SameSite=lax" in answer.headers["set-cookie"]


def test_on_loopback() -> None:
    """In the clear a browser would not take a cookie that says it is secure."""
    answer = Response()
    Cookies(False).put(answer, VISIT, "v", life=60)
    assert answer.headers["set-cookie"].startswith("tidegate=v;")
    assert "Secure" not in answer.headers["set-cookie"]
