"""Where a resource is, over HTTP, and for whom there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.model.resource import Address
from unit.web.world import World


def test_who_may_connect_is_told_the_way(staffed: World) -> None:
    """Address, name, files and lines for the chain, with the token's place left open."""
    told = staffed.get("/connect/shop", "alice", agent="claude-code").json()
    assert (told["host"], told["port"], told["user"]) == ("127.0.0.1", 6432, "claude-code")
    assert (told["title"], told["seconds"]) == ("alice -> claude-code", 900)
    assert "127.0.0.1:6432:*:*:{{token}}" in told["files"]["passfile"]
    assert staffed.get("/connect/shop", "alice").json()["seconds"] == 8 * 3600


@pytest.mark.parametrize(("resource", "by"), [("nowhere", "alice"), ("crm", "alice"), ("shop", "eve"), ("shop", "bob")])
def test_others_are_told_that_there_is_none(staffed: World, resource: str, by: str) -> None:
    """A resource that somebody may not use answers exactly as one that does not exist."""
    refused, unknown = staffed.get(f"/connect/{resource}", by), staffed.get("/connect/of-nobody", by)
    assert refused.status_code == unknown.status_code == 404
    assert refused.json() == unknown.json()


def test_not_as_somebody_elses_agent(staffed: World) -> None:
    """The way is shown for one's own chain."""
    assert staffed.get("/connect/shop", "bob", agent="claude-code").status_code in (401, 403, 404)


def test_who_listens_everywhere_is_reached_by_the_name_that_was_called(staffed: World) -> None:
    """0.0.0.0 is no address to connect to."""
    settings = replace(staffed.settings, listen={"postgres": Address("0.0.0.0", 6432)})
    served = staffed._server.config.app
    while not hasattr(served, "state"):
        served = served._app if hasattr(served, "_app") else served.app
    before = served.state.services
    served.state.services = replace(before, settings=settings)
    try:
        assert staffed.get("/connect/shop", "alice").json()["host"] == "127.0.0.1"
    finally:
        served.state.services = before
