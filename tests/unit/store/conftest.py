"""A store with a real signer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.clock import SystemClock
from tidegate.identity.issuer import Issuer
from tidegate.store.rows import Store


@pytest.fixture
def signer(tmp_path: Path) -> Issuer:
    """The gateway's issuer."""
    return Issuer(tmp_path, "gw.example", SystemClock())


@pytest.fixture
def store(tmp_path: Path, signer: Issuer) -> Store:
    """An empty store in store.db."""
    return Store(tmp_path / "store.db", signer)
