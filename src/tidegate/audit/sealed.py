"""The sealed store: one file a session, sealed records one after the other.

The write-ahead log is the authority for what it still holds: after a crash the end of a sealed file is written again
from there. Invariant: a record that left the write-ahead log is synced here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from .files import make_directory, sync_directory
from .seal import read_record, read_records


class SealedStore:
    """The files of one shard; used by one thread at a time. Methods raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unsynced: set[Path] = set()
        make_directory(directory)

    def append(self, record: bytes) -> None:
        """Add a sealed record to its session's file."""
        path = self._path(read_record(record).sid)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(handle, record)
        finally:
            os.close(handle)
        if written != len(record):
            raise OSError(f"only {written} of {len(record)} bytes were written to {path.name}")
        self._unsynced.add(path)

    def sync(self) -> None:
        """Make everything appended durable."""
        for path in self._unsynced:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_directory(self._directory)
        self._unsynced.clear()

    def restore(self, records: Iterable[bytes], floor: int) -> None:
        """Write ``records`` of the write-ahead log again, over what the files hold for leaves from ``floor``."""
        cut: set[UUID] = set()
        for record in records:
            sid = read_record(record).sid
            if sid not in cut:
                cut.add(sid)
                self._cut(self._path(sid), floor)
            self.append(record)

    def _path(self, sid: UUID) -> Path:
        return self._directory / f"{sid}.seal"

    def _cut(self, path: Path, floor: int) -> None:
        """Keep only the records of leaves below ``floor``, which stand at the beginning."""
        if not path.exists():
            return
        kept = 0
        for record in read_records(path.read_bytes()):
            if record.index >= floor:
                break
            kept += len(record.header) + len(record.body)
        os.truncate(path, kept)
