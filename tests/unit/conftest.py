"""Running gateways for unit tests: a fresh one, and one with its people for each test module.

The gateway is imported when a test asks for one, so that tests of pure parts start at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unit.web.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh gateway with nobody in it."""
    from unit.web.world import World

    with World(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice, her agent claude-code, bob the approver, and eve; shared by a module's tests."""
    from unit.web.world import World

    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        yield started
