"""What goes upstream is built anew, from end-to-end fields only."""

from __future__ import annotations

import base64

import pytest

from tidegate.model.secret import Credential
from tidegate.wire.http_credential import Login, login, redacted, token
from tidegate.wire.http_forward import Sender, cookies
from tidegate.wire.http_head import request_head
from unit.wire.http_talking import LOGIN, sent


def ahead(*fields: str, whole: bool = False, private: frozenset[bytes] = frozenset()) -> bytes:
    """What goes upstream of a request with these fields."""
    data = "\r\n".join(["GET / HTTP/1.1", "Host: gw", *fields]).encode() + b"\r\n\r\n"
    return Sender(b"api.internal:8080", LOGIN, whole, private).ahead(request_head(data), b"/", b"").data


@pytest.mark.parametrize(
    "field",
    [
        "Connection: keep-alive, X-Mine",
        "Proxy-Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Trailer: X",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Authorization: Bearer x",
        "Proxy-Authorization: Bearer x",
        "Expect: 100-continue",
        "Accept-Encoding: gzip, br",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Host: evil.example",
        "X-Real-IP: 1.2.3.4",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-HTTP-Method-Override: DELETE",
        "Via: 1.1 x",
        "Prefer: respond-async",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "X_Forwarded_For: 1.2.3.4",
        "Content_Length: 4",
        "Cookie: __Host-tidegate=1; tidegate-guest=2",
    ],
)
def test_what_is_not_for_the_upstream_stays_here(field: str) -> None:
    """Fields of one connection, credentials, and what says who else was on the way."""
    assert ahead(field) == sent()


def test_fields_that_the_connection_names_stay_here() -> None:
    """But for those that say what the body is."""
    assert ahead("Connection: X-Mine, close", "X-Mine: 1", "X-Other: 2") == sent("GET", "/", "X-Other: 2")
    assert ahead("Connection: content-type", "Content-Type: a/b") == sent("GET", "/", "Content-Type: a/b")


def test_parts_of_bodies_are_not_asked_for_where_they_may_be_masked() -> None:
    """A part cannot be understood alone."""
    assert ahead("Range: bytes=0-9", "If-Range: x", whole=True) == sent()
    assert ahead("Range: bytes=0-9") == sent("GET", "/", "Range: bytes=0-9")


def test_another_method_may_stand_in_where_it_was_judged() -> None:
    """Only there the field goes ahead."""
    head = request_head(b"GET / HTTP/1.1\r\nHost: gw\r\nX-HTTP-Method-Override: PUT\r\n\r\n")
    said = Sender(b"api.internal:8080", LOGIN, whole=False, overriding=True).ahead(head, b"/", b"").data
    assert said == sent("GET", "/", "X-HTTP-Method-Override: PUT")


def test_the_credential_is_the_gateways_to_give() -> None:
    """An agent's field of that name stays here."""
    assert ahead("X-Api-Key: mine", private=frozenset((b"x-api-key",))) == sent()


def test_cookies() -> None:
    """Pass, but for the gateway's own."""
    assert cookies(b"a=1; tidegate=x; b=2; __Host-tidegate-flow=y") == b"a=1; b=2"
    assert cookies(b"a=1; b=tidegate") == b"a=1; b=tidegate"


def test_logins() -> None:
    """Bearer, Basic with a user, or a field of its own; the recording shows as many x."""
    assert login(Credential("", "sec"), "") == Login(b"Authorization: Bearer sec\r\n", b"Authorization: Bearer xxx\r\n")
    assert login(Credential("me", "sec"), "").line == b"Authorization: Basic " + base64.b64encode(b"me:sec") + b"\r\n"
    assert login(Credential("me", "sec"), "X-Api-Key") == Login(b"X-Api-Key: sec\r\n", b"X-Api-Key: xxx\r\n")
    assert login(Credential(""), "") == Login()


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("Authorization: Bearer abc", "abc"),
        ("authorization: bearer  abc", "abc"),
        ("Authorization: Basic " + base64.b64encode(b"any:abc").decode(), "abc"),
        ("Authorization: Basic YQ", ""),
        ("Authorization: Digest abc", ""),
        ("Authorization: abc", ""),
        ("X: 1", ""),
        ("Authorization: Bearer other\r\nProxy-Authorization: Bearer abc", "abc"),
    ],
)
def test_tokens(fields: str, found: str) -> None:
    """Of a bearer, or as a password; a proxy's counts before a server's."""
    head = b"GET / HTTP/1.1\r\nHost: gw\r\n" + fields.encode() + b"\r\n\r\n"
    assert token(request_head(head)) == found
    clean = redacted(head, found)
    assert len(clean) == len(head) and b"abc" not in clean and b"other" not in clean
