"""Running APIs: one with its people for each test module, and fresh ones for tests that need nobody in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
