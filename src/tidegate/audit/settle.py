"""Where durable records go: leaves into the tree, openings into the sealed store, chunks to the recordings.

Invariant: a segment of the write-ahead log is deleted only when everything in it is synced in its final place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from .scan import Scan
from .sealed import SealedStore
from .shard import Shard
from .wal import CHUNK, LEAF, OPENING, Wal


class ChunkSink(Protocol):
    """Where the frames of recordings go; called on the writer thread."""

    def append(self, frame: bytes) -> None:
        """Take a frame; one that is already there is skipped."""

    def sync(self) -> None:
        """Make everything appended durable."""

    def seals(self, sid: str) -> Mapping[str, tuple[int, str]]:
        """Of each track of a session, the number of its frames and the root over their hashes."""


class Settler:
    """Carries records out of the write-ahead log. Methods raise OSError."""

    def __init__(self, shard: Shard, store: SealedStore, chunks: ChunkSink | None) -> None:
        self._shard = shard
        self._store = store
        self._chunks = chunks
        self._queue: deque[tuple[int, int, bytes, bytes]] = deque()

    def submit(self, written: int, records: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Queue records up to number ``written``, in order."""
        self._queue.extend((written, kind, payload, digest) for kind, payload, digest in records)

    def settle(self, durable: int) -> None:
        """Carry out every queued record up to number ``durable``."""
        while self._queue and self._queue[0][0] <= durable:
            _, kind, payload, digest = self._queue.popleft()
            if kind == LEAF:
                self._shard.take(digest)
            elif kind == OPENING:
                self._store.append(payload)
            elif self._chunks is not None:
                self._chunks.append(payload)

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
        for record in found.records:
            if record.kind == CHUNK and self._chunks is not None:
                self._chunks.append(record.payload)
        for index, record in leaves:
            if index >= sealed:
                self._shard.fresh[index] = record.payload
                self._shard.take(record.digest)
        self._sync()

    def close(self) -> None:
        """Close the files."""
        self._store.close()

    def _sync(self) -> None:
        self._store.sync()
        if self._chunks is not None:
            self._chunks.sync()
