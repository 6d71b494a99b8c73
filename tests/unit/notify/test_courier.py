"""Posting to others: to whom, and how much of what they say."""

from __future__ import annotations

import ipaddress
import threading
from pathlib import Path

import pytest

from certificates import issue
from receivers import Answer, Receiver
from tidegate.errors import ConfigError
from tidegate.notify import courier
from tidegate.notify.channel import Undelivered
from tidegate.notify.courier import Courier, Reply, asked

from .sample import run

HEADERS = {"content-type": "application/json"}


def post(url: str, ca: str = "", *, internal: bool = False) -> Reply:
    """Post a body."""
    return run(Courier(ca, internal=internal).post(url, b"{}", HEADERS))


def why(url: str, ca: str = "") -> str:
    """Why it was not delivered."""
    with pytest.raises(Undelivered) as error:
        post(url, ca)
    return error.value.why


def test_over_tls_with_the_authority_of_the_settings(tmp_path: Path) -> None:
    """The name is verified although the connection goes to an address; another authority's certificate is not taken."""
    pair, other = issue(tmp_path), tmp_path / "other"
    other.mkdir()
    with Receiver(pair) as server:
        for host in ("localhost", "127.0.0.1"):
            assert post(f"https://{host}:{server.port}/a?b=c", str(pair.authority)).status == 200
        assert [each.path for each in server.requests] == ["/a?b=c"] * 2
        assert server.requests[0].headers["host"] == f"localhost:{server.port}"
        assert why(f"https://localhost:{server.port}/", str(issue(other).authority)) == "ConnectError"
    assert len(server.requests) == 2


def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    """The authority is right, the name is not."""
    pair = issue(tmp_path, "elsewhere.example.org")
    with Receiver(pair) as server:
        assert why(f"https://localhost:{server.port}/", str(pair.authority)) == "ConnectError"


def test_no_redirect_is_followed() -> None:
    """Where it leads to, nobody has judged."""
    with Receiver() as server, Receiver() as other:
        server.answers.append(Answer(307, headers={"location": other.url}))
        assert post(server.url).status == 307
        assert not other.requests


@pytest.mark.parametrize(
    "url", ["http://hooks.example.org/", "ftp://localhost/", "https://u:p@localhost/", "//x", "x y"]
)
def test_not_every_address_is_asked(url: str) -> None:
    """TLS, or this machine; no user, no other scheme."""
    assert why(url) == "the address is not one that may be asked"


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%1", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
     "255.255.255.255", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "::ffff:169.254.169.254",
     "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "240.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"],
)  # fmt: skip
def test_addresses_of_the_inside_are_refused(address: str) -> None:
    """However they are written, a name of the outside may not mean them."""
    assert not asked(ipaddress.ip_address(address), "hooks.example.org")


def test_addresses_of_others_are_not() -> None:
    """An organisation's own network is where its receivers are; this machine is, when the settings name it."""
    for address in ("10.0.0.1", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1", "fd12::1"):
        assert asked(ipaddress.ip_address(address), "hooks.example.org")
    assert asked(ipaddress.ip_address("127.0.0.1"), "localhost")
    assert asked(ipaddress.ip_address("::1"), "::1")


def test_the_address_of_metadata_is_not_connected_to() -> None:
    """Also when it is written out, unless the settings say so."""
    assert why("https://169.254.169.254/latest") == "its name has an address of the inside"


def test_an_answer_has_a_limit() -> None:
    """Of bytes."""
    with Receiver() as server:
        server.answers.append(Answer(200, b"x" * (courier.SIZE + 1)))
        assert why(server.url) == f"an answer of more than {courier.SIZE} bytes"


def test_an_answer_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes the request and says nothing is left alone."""
    monkeypatch.setattr(courier, "PATIENCE", 0.2)
    done = threading.Event()
    with Receiver() as server:
        server.answers.append(Answer(200, wait=done))
        assert why(server.url) == "no whole answer in 0.2 seconds"
        done.set()


def test_nobody_listens() -> None:
    """What is said has no address in it, which may be a secret."""
    with Receiver() as server:
        pass
    assert why(f"{server.url}/secret") == "ConnectError"


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("", 0), ("nan", 0), ("inf", 0), ("-3", 0), ("soon", 0)])
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds count; what is none does not."""
    with Receiver() as server:
        server.answers.append(Answer(429, headers={"retry-after": value} if value else {}))
        assert post(server.url) == Reply(429, b"", seconds)


def test_a_file_of_authorities_that_is_none(tmp_path: Path) -> None:
    """The operator hears of it."""
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="PEM"):
        post("https://localhost:1/", str(tmp_path / "ca.pem"))
