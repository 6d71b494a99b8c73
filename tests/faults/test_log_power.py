"""A modelled power cut: of what was not synced, any sector may be old, garbled or new."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from segments import append
from tidegate.audit.scan import repair, scan
from tidegate.audit.tree import leaf_hash
from tidegate.audit.wal import CHUNK, Segment, Wal, shard_id

SHARD = shard_id("example.org/gw/gw1/2026")
SECTOR = 512


class Disk:
    """Follows the writes and syncs of a write-ahead log, and knows what a power cut may leave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.durable: dict[int, bytearray] = {}
        self.pending: dict[int, list[tuple[int, bytes]]] = {}
        self._write, self._sync = os.pwritev, os.fdatasync
        monkeypatch.setattr(os, "pwritev", self.write)
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def write(self, handle: int, buffers: Sequence[bytes], at: int) -> int:
        taken = self._write(handle, buffers, at)
        data = b"".join(buffers)
        if any(data):  # zeros are preallocation, which is synced
            self.pending.setdefault(handle, []).append((at, data))
        return taken

    def sync(self, handle: int) -> None:
        self._sync(handle)
        for at, data in self.pending.pop(handle, []):
            self._content(handle, 2**13)[at : at + len(data)] = data

    def cut(self, segments: Sequence[Segment], chance: random.Random) -> None:
        """Leave the files as the power cut did."""
        for segment in segments:
            new = bytearray(segment.path.read_bytes())
            old = self._content(segment.handle, len(new))
            for at, data in self.pending.get(segment.handle, []):
                for sector in range(at // SECTOR, (at + len(data) - 1) // SECTOR + 1):
                    part = slice(max(at, sector * SECTOR), min(at + len(data), (sector + 1) * SECTOR))
                    fate = chance.choice(["old", "new", "garbled"])
                    if fate == "old":
                        new[part] = old[part]
                    elif fate == "garbled":
                        new[part] = chance.randbytes(part.stop - part.start)
            if segment.named or chance.random() < 0.5:
                segment.path.write_bytes(new)
            else:
                segment.path.unlink()

    def _content(self, handle: int, size: int) -> bytearray:
        return self.durable.setdefault(handle, bytearray(size))


@pytest.mark.parametrize("seed", range(150))
def test_a_power_cut_leaves_a_prefix_with_everything_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """What is recovered is the beginning of what was written, no shorter than what was synced; writing goes on."""
    chance, disk = random.Random(seed), Disk(monkeypatch)
    wal, written, acknowledged = Wal(tmp_path, SHARD, [], written=0, size=2**13), [], 0
    marks = [b""]
    for _ in range(chance.randrange(1, 40)):
        payload = chance.randbytes(chance.randrange(1, 1500))
        append(wal, [(CHUNK, payload, leaf_hash(payload))])
        written.append(payload)
        if chance.random() < 0.4:
            wal.sync(wal.written)
            acknowledged = wal.written
            marks.append((tmp_path / "synced").read_bytes())
    disk.cut(wal._segments, chance)
    (tmp_path / "synced").write_bytes(chance.choice(marks[1:] or [bytes(8)]))
    found = scan(tmp_path, SHARD)
    assert acknowledged <= len(found.records) and not found.lost
    assert [record.payload for record in found.records] == written[: len(found.records)]
    again = Wal(tmp_path, SHARD, repair(found), written=found.written, size=2**13)
    append(again, [(CHUNK, b"next", leaf_hash(b"next"))])
    assert len(scan(tmp_path, SHARD).records) == len(found.records) + 1
