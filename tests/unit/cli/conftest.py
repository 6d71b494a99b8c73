"""A desk at which everybody of a gateway has logged in."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.cli.desk import Desk
from unit.web.world import World


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A desk where nobody has logged in."""
    return Desk(tmp_path / "homes", monkeypatch, capsys)


@pytest.fixture
def seated(staffed: World, desk: Desk) -> Desk:
    """A desk where root, alice, bob and eve have logged in to the staffed gateway."""
    desk.seats(staffed, "root", "alice", "bob", "eve")
    return desk
