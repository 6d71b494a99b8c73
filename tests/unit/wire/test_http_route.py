"""A request goes to the resource that it names, and nowhere else."""

from __future__ import annotations

import pytest

from tidegate.errors import AgentError
from tidegate.model.resource import Address, Resource
from tidegate.wire.http_head import request_head
from tidegate.wire.http_route import Route, route

OWN = Resource("shop", "http", Address("api.internal", 8080))


def where(target: str, host: str = "gw.example:8443", own: Resource | None = None, method: str = "GET") -> Route:
    """Where a request goes when ``shop`` is the only resource."""
    head = request_head(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return route(head, own, lambda name: name == "shop")


@pytest.mark.parametrize(
    ("target", "host", "name", "prefix", "inner"),
    [
        ("/r/shop/a?b=c", "gw.example", "shop", b"/r/shop", b"/a?b=c"),
        ("/r/shop", "gw.example", "shop", b"/r/shop", b"/"),
        ("/r/shop?b", "gw.example", "shop", b"/r/shop", b"/?b"),
        ("/r/shop//a", "gw.example", "shop", b"/r/shop", b"//a"),
        ("/a", "shop.gw.example:8443", "shop", b"", b"/a"),
        ("/r/other/a", "SHOP.gw.example", "shop", b"", b"/r/other/a"),
        ("/r/other/a", "127.0.0.1:80", "other", b"/r/other", b"/a"),
        ("/a", "other.gw.example", "", b"", b"/a"),
        ("/a", "shop", "", b"", b"/a"),
        ("/r/../a", "gw.example", "", b"", b"/r/../a"),
        ("http://shop.gw.example/a", "shop.gw.example", "shop", b"", b"/a"),
        ("http://shop.gw.example", "shop.gw.example", "shop", b"", b"/"),
    ],
)
def test_on_a_shared_port(target: str, host: str, name: str, prefix: bytes, inner: bytes) -> None:
    """By the first label of the host, or by the path."""
    assert where(target, host) == Route(name, prefix, inner)


def test_on_a_port_of_its_own() -> None:
    """No name is needed, and a proxy's form may name the server as it is known behind the gateway."""
    assert where("/r/shop/a", "anything", OWN) == Route("shop", b"/r/shop", b"/a")
    assert where("/r/other/a", "anything", OWN) == Route("shop", b"", b"/r/other/a")
    assert where("http://api.internal:8080/a", "api.internal:8080", OWN).target == b"/a"
    assert where("*", "anything", OWN, "OPTIONS").target == b"*"


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://evil.example/r/shop/a", "evil.example"),
        ("http://evil.example/a", "shop.gw.example"),
        ("http://user@shop.gw.example/a", "shop.gw.example"),
        ("http://shop.gw.example@evil.example/a", "shop.gw.example"),
        ("ftp://shop.gw.example/a", "shop.gw.example"),
        ("shop.gw.example:443", "shop.gw.example:443"),
        ("*", "shop.gw.example"),
    ],
)
def test_nothing_leads_to_another_host(target: str, host: str) -> None:
    """Whether the port is shared or not."""
    for own in (None, OWN):
        with pytest.raises(AgentError):
            where(target, host, own)
