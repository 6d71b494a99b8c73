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
from .seal import read_records, session_of

OPEN_FILES = 64
"""Files kept open at most; sessions that are busy keep theirs."""


class SealedStore:
    """The files of one shard; used by one thread at a time. Methods raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._handles: dict[bytes, int] = {}
        self._unsynced: set[bytes] = set()
        make_directory(directory)

    def append(self, records: Iterable[bytes]) -> None:
        """Add sealed records to their sessions' files."""
        grouped: dict[bytes, list[bytes]] = {}
        for record in records:
            grouped.setdefault(session_of(record), []).append(record)
        for sid, own in grouped.items():
            data = b"".join(own)
            written = os.write(self._handle(sid), data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written to {self._path(sid).name}")
            self._unsynced.add(sid)

    def sync(self) -> None:
        """Make everything appended durable."""
        for sid in self._unsynced:
            os.fsync(self._handle(sid))
        sync_directory(self._directory)
        self._unsynced.clear()

    def close(self) -> None:
        """Close the files."""
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def _handle(self, sid: bytes) -> int:
        """The open file of a session, the least recently used one closed for it."""
        handle = self._handles.pop(sid, None)
        if handle is None:
            if len(self._handles) >= OPEN_FILES:
                os.close(self._handles.pop(next(iter(self._handles))))
            handle = os.open(self._path(sid), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._handles[sid] = handle
        return handle

    def restore(self, records: Iterable[bytes], floor: int) -> None:
        """Write ``records`` of the write-ahead log again, over what the files hold for leaves from ``floor``."""
        known = list(records)
        for sid in {session_of(record) for record in known}:
            self._cut(self._path(sid), floor)
        self.append(known)

    def _path(self, sid: bytes) -> Path:
        return self._directory / f"{UUID(bytes=sid)}.seal"

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
