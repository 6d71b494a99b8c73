"""A recorder whose chunks land in lists, and a shelf to put them on."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tidegate.clock import SystemClock
from tidegate.recording.reader import Record, read
from tidegate.recording.shelf import Shelf
from tidegate.recording.writer import Recorder

KEYS = {"agent": b"a" * 32, "upstream": b"u" * 32}


@dataclass
class Bench:
    """One recorded session under a directory."""

    directory: Path
    sid: uuid.UUID = field(default_factory=SystemClock().session_id)
    chunks: list[bytes] = field(default_factory=list)

    def recorder(self) -> Recorder:
        """The session's recorder."""
        header = {"res": "shop", "gw": "gw1"}
        return Recorder(
            self.sid, header=header, keys=KEYS, write=lambda chunk, _: self.chunks.append(chunk), clock=SystemClock()
        )

    def shelve(self) -> dict[str, Path]:
        """All chunks as files."""
        shelf = Shelf(self.directory)
        for chunk in self.chunks:
            shelf.append([chunk])
        shelf.close()
        return shelf.find(self.sid)

    def records(self, track: str) -> list[Record]:
        """What the files hold; references resolved."""
        files = self.shelve()
        agent = (files["agent"], KEYS["agent"]) if track == "upstream" else None
        return list(read(files[track], KEYS[track], agent=agent))

    def raw(self, track: str) -> list[Record]:
        """What a file holds; references as they are."""
        return list(read(self.shelve()[track], KEYS[track]))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A fresh session."""
    return Bench(tmp_path)


@pytest.fixture
def benches(tmp_path: Path) -> Callable[[], Bench]:
    """Fresh sessions, for laws that need one an example."""
    return lambda: Bench(tmp_path)
