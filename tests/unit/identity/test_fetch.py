"""Fetching from a provider: over TLS, within limits, from the address asked for and nowhere else."""

from __future__ import annotations

import asyncio
import gzip
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import certificates
from site_server import Site
from tidegate.errors import ConfigError, ResourceError
from tidegate.identity import fetch
from tidegate.identity.fetch import SIZE, Fetch, checked


def got(url: str, ca: str = "") -> bytes:
    """What is fetched from ``url``."""
    return asyncio.run(Fetch(ca).get(url))


def refused(url: str, ca: str = "") -> ResourceError:
    """The error in place of an answer."""
    with pytest.raises(ResourceError) as caught:
        got(url, ca)
    assert caught.value.code == "provider.unreachable"
    assert caught.value.hint
    return caught.value


def test_a_body_is_fetched() -> None:
    """Also one that is exactly as long as may be."""
    with Site() as site:
        site.answers["/x"] = b"y" * SIZE
        assert got(site.url + "/x") == b"y" * SIZE


def test_tls_is_verified(tmp_path: Path) -> None:
    """With the authority of the settings it is fetched, without it nothing is."""
    pair = certificates.issue(tmp_path)
    with Site(pair) as site:
        site.answers["/x"] = b"keys"
        assert got(site.url + "/x", str(pair.authority)) == b"keys"
        refused(site.url + "/x")
    assert site.asked["/x"] == 1


def test_another_name_is_not_trusted(tmp_path: Path) -> None:
    """A certificate for another host does not do."""
    pair = certificates.issue(tmp_path)
    with Site(pair) as site:
        refused(site.url.replace("127.0.0.1", "127.0.0.2") + "/x", str(pair.authority))


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets the environment does not choose who answers."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Site() as site:
        site.answers["/x"] = b"here"
        assert got(site.url + "/x") == b"here"


def test_redirects_are_not_followed() -> None:
    """The provider does not send the gateway anywhere else."""

    def elsewhere(to: BaseHTTPRequestHandler) -> None:
        to.send_response(302)
        to.send_header("Location", "/secret")
        to.send_header("Content-Length", "0")
        to.end_headers()

    with Site() as site:
        site.answers |= {"/x": elsewhere, "/secret": b"metadata"}
        assert "302" in refused(site.url + "/x").message
    assert site.asked["/secret"] == 0


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_answer_is_not_read(declared: bool) -> None:
    """Neither one that says how long it is nor one that never ends."""

    def long(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        if declared:
            to.send_header("Content-Length", str(1 << 40))
        to.end_headers()
        try:
            while True:
                to.wfile.write(b"a" * 65536)
        except OSError:
            to.close_connection = True

    with Site() as site:
        site.answers["/x"] = long
        assert str(SIZE) in refused(site.url + "/x").message


def test_a_compressed_answer_is_refused() -> None:
    """A small answer must not become a large one here."""

    def bomb(to: BaseHTTPRequestHandler) -> None:
        body = gzip.compress(b"0" * 10_000_000)
        to.send_response(200)
        to.send_header("Content-Encoding", "gzip")
        to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    with Site() as site:
        site.answers["/x"] = bomb
        assert "compressed" in refused(site.url + "/x").message
    assert site.headers["accept-encoding"] == "identity"


def test_a_slow_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not keep anybody waiting beyond the deadline."""
    monkeypatch.setattr(fetch, "PATIENCE", 0.3)

    def drip(to: BaseHTTPRequestHandler) -> None:
        to.send_response(200)
        to.end_headers()
        try:
            while True:
                to.wfile.write(b"a")
                time.sleep(0.05)
        except OSError:
            to.close_connection = True

    with Site() as site:
        site.answers["/x"] = drip
        refused(site.url + "/x")


def test_nobody_there() -> None:
    """A closed port is told as such, without the path, which may name a tenant."""
    assert "tenant" not in refused("http://127.0.0.1:9/tenant").message


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example/keys",
        "http://169.254.169.254/latest",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "https://user:secret@idp.example/",
        "https://user@idp.example/",
        "https://idp.example/#x",
        "https:///keys",
        "https://idp.example:0/",
        "https://idp.example:99999/",
        "file:///etc/passwd",
        "ftp://idp.example/",
        "//idp.example/",
        "idp.example",
        "",
        "https://idp.example/a b",
        "https://idp.example/\r\nX: y",
        "https://idp.exämple/",
        "https://[::1",
    ],
)
def test_addresses_that_are_never_asked(url: str) -> None:
    """In the clear to others, with a secret in them, or in no form that is understood."""
    with pytest.raises(ConfigError) as caught:
        checked(url)
    assert "secret" not in caught.value.message
    with pytest.raises(ConfigError):
        got(url)


@pytest.mark.parametrize(
    "url", ["https://idp.example/x?y=1", "http://127.0.0.1:80/", "http://[::1]/", "http://localhost"]
)
def test_addresses_that_may_be_asked(url: str) -> None:
    """Over TLS, or on this machine."""
    assert checked(url) == url


def test_a_wrong_ca_is_the_operators(tmp_path: Path) -> None:
    """A file that holds no certificate is told with its name."""
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        got("https://127.0.0.1:9/", str(path))


def test_a_form_is_posted() -> None:
    """Whatever the status, the answer is given."""

    def echo(to: BaseHTTPRequestHandler) -> None:
        body = to.rfile.read(int(to.headers["Content-Length"]))
        to.send_response(400)
        to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        to.wfile.write(body)

    with Site() as site:
        site.answers["/t"] = echo
        answer = asyncio.run(Fetch().post(site.url + "/t", {"a": "b c&"}, authorization="Basic eDp5"))
        assert (answer.status, answer.body) == (400, b"a=b+c%26")
        assert site.headers["authorization"] == "Basic eDp5"
