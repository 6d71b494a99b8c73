"""Who calls, and what they may."""

from __future__ import annotations

import pytest

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
