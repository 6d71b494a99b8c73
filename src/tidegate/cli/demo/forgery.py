"""What an intruder with root on the gateway can do to the log, done for real to copies of it.

A copy is forged with the gateway's own code and its live signing key, so what `audit verify` finds it finds against
the strongest forger there is: one who leaves nothing inconsistent behind. The gateway's own log is never touched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidegate.audit.checkpoint import Checkpoint, LogKey
from tidegate.audit.keys import KeyFile
from tidegate.audit.tiles import WIDTH, Edge, bundle, tile_path, unbundle
from tidegate.audit.tree import leaf_hash


class Forgery:
    """A copy of a data directory in the hands of an intruder."""

    def __init__(self, data: Path, copy: Path, key: LogKey) -> None:
        # The write-ahead log is left behind: a careful intruder would not keep what contradicts the forgery.
        shutil.copytree(data, copy, ignore=shutil.ignore_patterns("wal", "keys", "rec"))
        self.directory = copy
        self._key = key
        self._log = next(copy.rglob("checkpoint")).parent

    def leaves(self) -> list[bytes]:
        """The entries that the checkpoint covers."""
        size = int((self._log / "checkpoint").read_text().splitlines()[1])
        paths = (self._bundle(start, size) for start in range(0, size, WIDTH))
        return [entry for path in paths for entry in unbundle(path.read_bytes())]

    def find(self, wanted: Callable[[dict[str, Any]], bool]) -> int:
        """The index of the first leaf that is ``wanted``. Raises LookupError when there is none."""
        for index, entry in enumerate(self.leaves()):
            if wanted(json.loads(entry)):
                return index
        raise LookupError("no such leaf in the copy")

    def flip(self, index: int) -> None:
        """Change one bit in the middle of a leaf, where it lies on the disk."""
        leaves = self.leaves()
        start = index - index % WIDTH
        before = sum(2 + len(entry) for entry in leaves[start:index])
        path = self._bundle(start, len(leaves))
        data = bytearray(path.read_bytes())
        data[before + 2 + len(leaves[index]) // 2] ^= 1
        path.write_bytes(data)

    def publish(self, leaves: list[bytes]) -> None:
        """Make ``leaves`` the whole log: every hash computed anew, the checkpoint signed with the live key."""
        shutil.rmtree(self._log / "tile")
        edge = Edge()
        for entry in leaves:
            for tile in edge.add(leaf_hash(entry)):
                self._write(tile.path, b"".join(tile.row))
        for tile in edge.partial():
            self._write(tile.path, b"".join(tile.row))
        for start in range(0, len(leaves), WIDTH):
            part = leaves[start : start + WIDTH]
            self._write(tile_path("entries", start // WIDTH, len(part)), bundle(part))
        note = self._key.sign(Checkpoint(self._key.name, len(leaves), edge.root()).text)
        (self._log / "checkpoint").write_bytes(note)

    def _bundle(self, start: int, size: int) -> Path:
        return self._log / tile_path("entries", start // WIDTH, min(WIDTH, size - start))

    def _write(self, path: str, data: bytes) -> None:
        target = self._log / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def live_key(data: Path) -> LogKey:
    """The signing key of the log below ``data``, as it lies on the gateway's disk."""
    origin = next((data / "log").rglob("checkpoint")).read_text().splitlines()[0]
    return KeyFile(data / "keys", origin).key
