"""A gateway with its people, and a desk at which each of them has logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.cli.desk import Desk
from unit.web.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh gateway with nobody in it."""
    with World(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice, her agent claude-code, bob the approver, and eve; shared by a module's tests."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        yield started


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A desk where nobody has logged in."""
    return Desk(tmp_path / "homes", monkeypatch, capsys)


@pytest.fixture
def seated(staffed: World, desk: Desk) -> Desk:
    """A desk where root, alice, bob and eve have logged in to the staffed gateway."""
    desk.seats(staffed, "root", "alice", "bob", "eve")
    return desk
