"""Where durable records go: leaves into the tree, openings into the sealed store, chunks to the recordings.

Invariant: a segment of the write-ahead log is deleted only when everything in it is synced in its final place.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from .scan import Scan
from .sealed import SealedStore
from .shard import Shard
from .wal import CHUNK, LEAF, OPENING, Wal


class ChunkSink(Protocol):
    """Where the frames of recordings go; called on the writer thread."""

    def append(self, frames: Sequence[bytes]) -> None:
        """Take frames, in order; one that is already there is skipped."""

    def sync(self) -> None:
        """Make everything appended durable."""

    def seals(self, sid: str) -> Mapping[str, tuple[int, str]]:
        """Of each track of a session, the number of its frames and the root over their hashes."""


class Settler:
    """Carries records out of the write-ahead log. Methods raise OSError.

    ``submit`` belongs to the thread that appends, everything else to whoever holds the writer's lock.
    """

    def __init__(self, shard: Shard, store: SealedStore, chunks: ChunkSink | None) -> None:
        self._shard = shard
        self._store = store
        self._chunks = chunks
        self._queue: deque[tuple[int, int, bytes, bytes]] = deque()
        self.submit = self._queue.append
        """Queue a record: number, type, payload, hash; numbers ascend."""

    def settle(self, durable: int, most: int = sys.maxsize) -> bool:
        """Carry out queued records up to number ``durable``, those of one file together; whether none of them is left.

        ``most`` is how many are carried out at most.
        """
        leaves: list[bytes] = []
        openings: list[bytes] = []
        chunks: list[bytes] = []
        while most and self._queue and self._queue[0][0] <= durable:
            most -= 1
            _, kind, payload, digest = self._queue.popleft()
            if kind == LEAF:
                leaves.append(digest)
            elif kind == OPENING:
                openings.append(payload)
            else:
                chunks.append(payload)
        self._shard.take(leaves)
        self._store.append(openings)
        if self._chunks is not None:
            self._chunks.append(chunks)
        return not self._queue or self._queue[0][0] > durable

    def seal(self, wal: Wal) -> None:
        """Publish a checkpoint over what is settled, and delete what the write-ahead log need not keep."""
        self._shard.seal()
        segments = wal.disposable(self._shard.sealed.edge.size)
        if segments:
            self._sync()
            wal.drop(segments)

    def restore(self, found: Scan, sealed: int) -> None:
        """Do again, after a stop of any kind, what the write-ahead log still knows; leaves from index ``sealed``."""
        leaves = found.leaves()
        floor = leaves[0][0] if leaves else 0
        self._store.restore((record.payload for record in found.records if record.kind == OPENING), floor)
        if self._chunks is not None:
            self._chunks.append([record.payload for record in found.records if record.kind == CHUNK])
        for index, record in leaves:
            if index >= sealed:
                self._shard.fresh[index] = record.payload
        self._shard.take([record.digest for index, record in leaves if index >= sealed])
        self._sync()

    def close(self) -> None:
        """Close the files."""
        self._store.close()

    def _sync(self) -> None:
        self._store.sync()
        if self._chunks is not None:
            self._chunks.sync()
