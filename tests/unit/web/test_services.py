"""Who calls, and what they may."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from tidegate.settings_login import Web
from tidegate.web.services import source
from unit.web.world import World


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "Token abc"])
def test_only_bearer(staffed: World, header: str) -> None:
    """Without a bearer token the answer is 401 with a challenge (RFC 6750 section 3)."""
    answer = staffed.http.get("/me", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_token_in_the_address_is_ignored(staffed: World) -> None:
    """A token in the query string opens nothing, since addresses end up in logs."""
    assert staffed.http.get("/me", params={"access_token": staffed.login("alice")}).status_code == 401


def test_secret_is_not_in_repr(staffed: World) -> None:
    """The services can be logged without giving the replay identity away."""
    assert str(staffed.replay) not in repr(staffed.services)


@pytest.mark.parametrize(
    ("forwarded", "peer", "told", "found"),
    [
        (True, "127.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        (True, "127.0.0.1", ["198.51.100.1, 203.0.113.5"], "203.0.113.5"),
        (True, "127.0.0.1", ["198.51.100.1", "203.0.113.5"], "203.0.113.5"),
        (True, "127.0.0.1", ["198.51.100.1,"], "127.0.0.1"),
        (True, "127.0.0.1", ["unknown"], "127.0.0.1"),
        (True, "127.0.0.1", [], "127.0.0.1"),
        (True, "192.0.2.7", ["203.0.113.5"], "192.0.2.7"),
        (False, "127.0.0.1", ["203.0.113.5"], "127.0.0.1"),
    ],
)
def test_only_the_proxy_of_this_machine_is_believed(
    staffed: World, forwarded: bool, peer: str, told: list[str], found: str
) -> None:
    """And of what it says only what it has seen itself: who writes the header before it chooses nothing."""
    settings = replace(staffed.settings, web=Web("https://gw.example", "gw.example", forwarded))
    app = SimpleNamespace(state=SimpleNamespace(services=replace(staffed.services, settings=settings)))
    headers = [(b"x-forwarded-for", value.encode()) for value in told]
    assert source(Request({"type": "http", "app": app, "client": (peer, 1), "headers": headers})) == found
