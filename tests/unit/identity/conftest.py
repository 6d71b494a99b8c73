"""A clock that stands until it is moved, an issuer with a key of its own, and a directory on a real store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidegate.clock import SystemClock
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.store.rows import Store


@dataclass
class Watch:
    """A clock that shows ``seconds``."""

    seconds: int = 1_800_000_000

    def now(self) -> int:
        """Microseconds."""
        return self.seconds * 1_000_000

    def monotonic(self) -> int:
        """Microseconds."""
        return self.seconds * 1_000_000

    def session_id(self) -> uuid.UUID:
        """A fresh one."""
        return SystemClock().session_id()

    def name(self, prefix: str) -> str:
        """A fresh one."""
        return SystemClock().name(prefix)


@pytest.fixture
def watch() -> Watch:
    """The clock of issuer and directory."""
    return Watch()


@pytest.fixture
def issuer(tmp_path: Path, watch: Watch) -> Issuer:
    """An issuer named gw.example."""
    return Issuer(tmp_path / "keys", "gw.example", watch)


@pytest.fixture
def directory(tmp_path: Path, issuer: Issuer, watch: Watch) -> Directory:
    """An empty directory."""
    return Directory(Store(tmp_path / "store.db", issuer), watch)
