"""`tidegate grants`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unit.cli.desk import Desk
from unit.enforcement.granting import Granting


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granting]:
    """People, an agent, and a vault."""
    with Granting(tmp_path_factory.mktemp("cli")) as started:
        started.staff()
        yield started


@pytest.fixture
def at(world: Granting, desk: Desk) -> Desk:
    """Everybody has logged in."""
    desk.seats(world, "root", "alice", "bob", "eve")
    return desk


def test_grants_are_listed_by_kind(world: Granting, at: Desk) -> None:
    """Who may use what; standing access is a report of its own."""
    world.ask("alice", "claude-code", resource="shop")
    listed = at.types("grants", "ls", by="root").out
    assert "alice -> claude-code" in listed and "timed" in listed
    assert "No grants" in at.types("grants", "ls", "--standing", by="root").err
    assert "No grants" in at.types("grants", "ls", by="eve").err
