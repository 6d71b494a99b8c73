"""The gateway as the command line sees it."""

from __future__ import annotations

import pytest

from tidegate.cli.remote import Gateway, checked, error_of
from tidegate.errors import AgentError, ConfigError, IntegrityError, LogFailure, Refused, ResourceError
from unit.web.world import World


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example:7443",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "127.0.0.1:7443",
        "https://u:p@h",
        "https://h/x",
    ],
)
def test_unsafe_address_is_refused(url: str) -> None:
    """A token never travels in the clear to another machine, nor to what is no gateway's address."""
    with pytest.raises(ConfigError):
        checked(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:7443", "http://[::1]:1/", "http://localhost:1", "https://gw.example"]
)
def test_safe_address(url: str) -> None:
    """Loopback may be plain, everything else needs TLS."""
    assert checked(url) == url.rstrip("/")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "token.expired", AgentError),
        (403, "policy.refused", Refused),
        (404, "session.unknown", Refused),
        (500, "store.forged", IntegrityError),
        (502, "resource.failed", ResourceError),
        (503, "audit.unavailable", LogFailure),
    ],
)
def test_problem_becomes_its_error(status: int, code: str, kind: type[Exception]) -> None:
    """An error comes back as the one it was in the gateway, with message, code and hint."""
    error = error_of(status, {"detail": "what", "code": code, "hint": "do", "rule": "r"})
    assert (type(error), error.message, error.code, error.hint) == (kind, "what", code, "do")


def test_nobody_answers() -> None:
    """A gateway that is not there is an error that says where it was looked for."""
    with pytest.raises(ResourceError, match=r"http://127\.0\.0\.1:9 does not answer"):
        Gateway("http://127.0.0.1:9").get("health")


def test_path_parts_are_quoted(staffed: World) -> None:
    """An id with a slash or dots stays one path part."""
    with pytest.raises(Refused) as refused:
        Gateway(staffed.url, staffed.login("root")).get("sessions", "../tokens")
    assert refused.value.code in ("session.unknown", "request.unknown")


def test_every_follows_pages(staffed: World) -> None:
    """A list is read page by page up to the limit."""
    for _ in range(4):
        staffed.mint()
    remote = Gateway(staffed.url, staffed.login("alice"))
    assert len(list(remote.every("tokens", limit=3))) == 3
    assert len({row["id"] for row in remote.every("tokens", limit=1000)}) >= 5
