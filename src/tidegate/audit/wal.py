"""The write-ahead log: where a fact is first, in segments that are zero-filled before they are needed.

Records are staged and handed to the kernel by one thread (``stage``, ``flush``) and made durable by another (``sync``),
which also writes down how far it came in the file ``synced``: a hint that lets recovery tell a torn tail from a lost
record. Invariants: sequence numbers have no gap; records of one ``flush`` lie in one segment; a write that fails is
final.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from mmap import mmap
from pathlib import Path

from .files import make_directory, sync_directory

LEAF, CHUNK, OPENING = 1, 2, 3
MAGIC = b"TGWAL\r\n\x01"
HEADER = struct.Struct(">8sIIQ16s24s")
RECORD = struct.Struct(">IB3sQ32s")
MARK = struct.Struct(">Q")
PAGE = 4096
_ZEROS = bytes(2**20)
_REST = tuple(_ZEROS[:size] for size in range(PAGE))
_PADDING = tuple(bytes(-size % 8) for size in range(8))
_VECTOR = 1000
"""Buffers that one call of the kernel takes (IOV_MAX is 1,024)."""


def datasync(handle: int) -> None:
    """Make written data durable: the one call on which every promise of this log rests. Raises OSError."""
    os.fdatasync(handle)


def shard_id(origin: str) -> bytes:
    """The 16 bytes that tie a segment to its log."""
    return sha256(origin.encode()).digest()[:16]


def padding(size: int) -> int:
    """Zero bytes after a record's payload of ``size`` bytes."""
    return -size % 8


@dataclass(slots=True)
class Segment:
    """One file: ``at`` is where the next record goes, ``leaf`` the index of its first leaf if it has one."""

    path: Path
    handle: int
    size: int
    at: int = HEADER.size
    leaf: int | None = None
    named: bool = False


def preallocate(path: Path, size: int) -> int:
    """A new zero-filled file of ``size`` bytes, synced, as an open descriptor. Raises OSError and leaves no file."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for at in range(0, size, len(_ZEROS)):
            write_at(handle, [_ZEROS[: size - at]], at, min(len(_ZEROS), size - at))
        os.fsync(handle)
    except OSError:
        os.close(handle)
        path.unlink()
        raise
    return handle


def write_at(handle: int, buffers: Sequence[bytes], at: int, expected: int) -> None:
    """Hand ``buffers``, ``expected`` bytes, to the kernel in one call. Raises OSError, also if it took only a part."""
    taken = os.pwritev(handle, buffers, at)
    if taken != expected:
        raise OSError(errno.ENOSPC, f"only {taken} of {expected} bytes were taken")


def _mark(path: Path) -> mmap:
    """The file ``synced`` as shared memory: writing to it is no call of the kernel, and survives the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(handle).st_size != MARK.size:
            os.ftruncate(handle, 0)
            os.pwrite(handle, bytes(MARK.size), 0)
        return mmap(handle, MARK.size)
    finally:
        os.close(handle)


class Wal:
    """The segments of one log.

    ``written`` is the last sequence number handed to the kernel, 0 before the first; ``staged`` the last one given out.
    """

    def __init__(self, directory: Path, shard: bytes, segments: Sequence[Segment], *, written: int, size: int) -> None:
        make_directory(directory)
        (directory / "spare").unlink(missing_ok=True)  # of a process that was killed
        self.written = self.staged = written
        self._buffers: list[bytes] = []
        self._bytes = 0
        self._leaf: int | None = None
        self._directory = directory
        self._shard = shard
        self._size = size
        self._segments = list(segments)
        self._unsynced = list(segments)
        self._spare: Segment | None = None
        self._rolling = threading.Lock()
        self._mark = _mark(directory / "synced")

    @property
    def waiting(self) -> int:
        """Bytes that are staged and not yet in the kernel."""
        return self._bytes

    def stage(self, kind: int, payload: bytes, digest: bytes, leaf: int | None = None) -> int:
        """Take a record, to be written by the next ``flush``; gives its number. ``leaf``: its index if it is a leaf."""
        self.staged += 1
        size = len(payload)
        pad = _PADDING[size & 7]
        self._buffers += (RECORD.pack(size, kind, b"\0\0\0", self.staged, digest), payload, pad)
        self._bytes += RECORD.size + size + len(pad)
        if self._leaf is None:
            self._leaf = leaf
        return self.staged

    def flush(self) -> None:
        """Hand what is staged to the kernel, side by side. Raises OSError, after which nothing may be added."""
        if not self._buffers:
            return
        if not self._segments or self._segments[-1].at + self._bytes > self._segments[-1].size:
            self._roll(self._bytes)
        segment = self._segments[-1]
        end = segment.at + self._bytes
        # Zeros up to the end of the page: a page that is written whole is never read from the disk first.
        rest = min(-end % PAGE, segment.size - end)
        self._buffers.append(_REST[rest])
        buffers = self._buffers if len(self._buffers) <= _VECTOR else [b"".join(self._buffers)]
        write_at(segment.handle, buffers, segment.at, self._bytes + rest)
        segment.at = end
        if segment.leaf is None:
            segment.leaf = self._leaf
        self.written = self.staged
        self._buffers, self._bytes, self._leaf = [], 0, None

    def sync(self, number: int) -> None:
        """Make every record up to ``number`` durable, whichever segments they are in. Raises OSError."""
        segments = tuple(self._unsynced)
        for segment in segments:
            datasync(segment.handle)
        if not all(segment.named for segment in segments):
            sync_directory(self._directory)
        for segment in segments:
            segment.named = True
        del self._unsynced[: len(segments) - 1]  # what was current then may have been written to since
        self._mark[:] = MARK.pack(number)

    @property
    def short(self) -> bool:
        """Whether the current segment is half full and no spare one is ready."""
        return self._spare is None and self._segments[-1].at * 2 >= self._segments[-1].size

    def prepare(self) -> None:
        """Have a spare segment ready once the current one is half full; with no space for one, go on without."""
        with self._rolling:
            if not self.short or self._free() < self._size:
                return
            try:
                self._spare = self._blank(self._size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def disposable(self, sealed: int) -> list[Segment]:
        """Segments needed no more when ``sealed`` leaves are in the tree: a later one begins with a leaf among them."""
        last = max((n for n, s in enumerate(self._segments) if s.leaf is not None and s.leaf < sealed), default=0)
        return self._segments[:last]

    def drop(self, segments: Sequence[Segment]) -> None:
        """Delete ``segments``, whose records are durable elsewhere. Raises OSError."""
        for segment in segments:
            segment.path.unlink()
            os.close(segment.handle)
            self._segments.remove(segment)
        sync_directory(self._directory)

    def close(self) -> None:
        """Close the files; what was not synced stays as it is."""
        self._discard(self._spare)
        for segment in self._segments:
            os.close(segment.handle)
        self._mark.close()

    def _roll(self, need: int) -> None:
        """Go on in a fresh segment that can take ``need`` bytes."""
        first = self.written + 1  # what is staged comes first in it
        with self._rolling:  # to the rename: until then, the spare's name is taken
            segment, self._spare = self._spare, None
            if segment is None or segment.size < HEADER.size + need:
                self._discard(segment)
                segment = self._blank(max(self._size, HEADER.size + need))
            write_at(segment.handle, [HEADER.pack(MAGIC, 1, 0, first, self._shard, bytes(24))], 0, HEADER.size)
            segment.path = segment.path.rename(self._directory / f"{first:016x}.wal")
        self._segments.append(segment)
        self._unsynced.append(segment)

    @staticmethod
    def _discard(spare: Segment | None) -> None:
        if spare is not None:
            spare.path.unlink()
            os.close(spare.handle)

    def _blank(self, size: int) -> Segment:
        path = self._directory / "spare"
        return Segment(path, preallocate(path, size), size)

    def _free(self) -> int:
        room = os.statvfs(self._directory)
        return room.f_bavail * room.f_frsize
