"""Addresses in answers lead to the gateway, or nowhere."""

from __future__ import annotations

import pytest

from tidegate.wire.http_places import Origin

AT = Origin("https", "api.internal", b"/r/shop")
VIRTUAL = Origin("http", "api.internal:8080", b"")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (b"/a?b=c#d", b"/r/shop/a?b=c#d"),
        (b"next", b"/r/shop/users/next"),
        (b"../x", b"/r/shop/x"),
        (b"../../../../x", b"/r/shop/x"),
        (b"?page=2", b"/r/shop/users/7?page=2"),
        (b"https://api.internal/a", b"/r/shop/a"),
        (b"https://API.internal:443/a", b"/r/shop/a"),
        (b"http://api.internal/a", b"/r/shop/a"),
        (b"https://api.internal", b"/r/shop/"),
        (b"//api.internal/a", b"/r/shop/a"),
        (b"https://api.internal//evil.example/a", b"/r/shop/evil.example/a"),
        (b"https://evil.example/", None),
        (b"//evil.example/", None),
        (b"///evil.example/", b"/r/shop/evil.example/"),
        (b"https://api.internal@evil.example/", None),
        (b"https://user@api.internal/", None),
        (b"https://api.internal:444/", None),
        (b"https://api.internal.evil.example/", None),
        (b"/\\evil.example/", None),
        (b"https:\\\\evil.example", None),
        (b"javascript:alert(1)", None),
        (b"data:text/html,x", None),
        (b"/a b", None),
        (b"\xe9", None),
        (b"https://[::1", None),
        (b"", None),
    ],
)
def test_an_address_by_path(value: bytes, place: bytes | None) -> None:
    """Below the resource's prefix; None for what leads away or is read differently."""
    assert AT.place(value, b"/users/7") == place


def test_an_address_at_a_virtual_host() -> None:
    """There is no prefix, and never two slashes at the beginning, which would name a host."""
    assert VIRTUAL.place(b"http://api.internal:8080/a", b"/") == b"/a"
    assert VIRTUAL.place(b"http://api.internal:8080//evil.example", b"/") == b"/evil.example"
    assert VIRTUAL.place(b"http://api.internal/a", b"/") is None


def test_addresses_may_lead_away_where_the_operator_says_so() -> None:
    """As they are, but those of the upstream are still made the gateway's."""
    away = Origin("https", "api.internal", b"/r/shop", away=True)
    assert away.place(b"https://other.example/x", b"/") == b"https://other.example/x"
    assert away.place(b"https://api.internal/x", b"/") == b"/r/shop/x"


def test_links_and_refreshes() -> None:
    """Each address in a Link field, the one in a Refresh field."""
    value = b'</p?n=2>; rel="next", <https://evil.example/>; rel=prev'
    assert AT.links(value, b"/") == b'</r/shop/p?n=2>; rel="next", <about:blank>; rel=prev'
    assert AT.refresh(b"5; url=/a", b"/") == b"5; url=/r/shop/a"
    assert AT.refresh(b"5;URL='https://evil.example/'", b"/") is None
    assert AT.refresh(b"5", b"/") == b"5"
    assert AT.refresh(b'0;url="/a"; x', b"/") is None


@pytest.mark.parametrize(
    ("value", "cookie"),
    [
        (b"a=1; Domain=api.internal; Path=/; HttpOnly", b"a=1; Path=/r/shop/; HttpOnly"),
        (b"a=1;domain = .internal;path=/x", b"a=1; Path=/r/shop/x"),
        (b"a=1; Secure", b"a=1; Secure"),
        (b"tidegate=1; Path=/", None),
        (b"__Host-tidegate=1; Path=/", None),
    ],
)
def test_cookies(value: bytes, cookie: bytes | None) -> None:
    """Are of the gateway's host, below the resource's paths, and never the gateway's own."""
    assert AT.cookie(value) == cookie
