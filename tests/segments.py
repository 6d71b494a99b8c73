"""Writing records into a write-ahead log without the log above it."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.audit.wal import Wal


def append(wal: Wal, records: Sequence[tuple[int, bytes, bytes]], leaf: int | None = None) -> int:
    """Hand (type, payload, hash) records to the kernel side by side; gives the last one's number."""
    for kind, payload, digest in records:
        wal.stage(kind, payload, digest, leaf)
    wal.flush()
    return wal.written
