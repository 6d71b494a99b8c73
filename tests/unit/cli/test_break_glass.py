"""`tidegate break-glass`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unit.cli.desk import Desk
from unit.enforcement.granting import YES, Granting


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


def test_broken_glass_is_listed_and_reviewed(world: Granting, at: Desk) -> None:
    """Due until somebody has looked; then by whom."""
    identity = world.who("alice")
    row = world.call(lambda: world.emergencies.open(identity, "crm", 60, "it burns", YES))
    assert "(due in" in at.types("break-glass", "ls", by="root").out
    assert at.types("break-glass", "review", row.id, "--finding", "fine", by="root").status == 0
    assert "root" in at.types("break-glass", "ls", by="root").out
    assert "No glass" in at.types("break-glass", "ls", "--unreviewed", by="root").err
    assert at.types("break-glass", "open", "crm", "--reason", "x", by="bob").status == 77
    assert at.types("break-glass", "crm", "--reason", "x", by="bob").status == 77
    assert at.types("break-glass", "--help").status == 0
