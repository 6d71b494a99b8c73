"""Reading the write-ahead log after a stop of any kind: which records count, and whether anything is wrong.

The records that count are the longest unbroken run from the oldest segment on. What follows the first bad record is a
torn tail and is dropped, unless a valid record stands behind the break although the break lies in what was already
synced: that cannot be a power cut, it is corruption. Without the file ``synced`` every such record is corruption.
Openings stand before their leaf; openings at the end whose leaf is missing belong to the torn tail.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tidegate.errors import IntegrityError

from .entry import decode
from .wal import CHUNK, HEADER, LEAF, MAGIC, MARK, OPENING, RECORD, Segment, padding, write_at

_PLAUSIBLE = re.compile(rb"(?=[\x01-\x03]\0\0\0)")


@dataclass(frozen=True, slots=True)
class Record:
    """A valid record, and where it stands."""

    kind: int
    number: int
    payload: bytes
    digest: bytes
    segment: int
    at: int

    @property
    def size(self) -> int:
        """Bytes from this record to the next."""
        return RECORD.size + len(self.payload) + padding(len(self.payload))


@dataclass(slots=True)
class Scan:
    """What a write-ahead log holds: ``end`` is the segment and offset after the last record that counts.

    ``dropped`` are the bytes of the torn tail; ``lost`` counts records that were synced and are not there any more.
    """

    paths: list[Path]
    records: list[Record] = field(default_factory=list)
    end: tuple[int, int] = (0, 0)
    dropped: bytes = b""
    lost: int = 0

    @property
    def written(self) -> int:
        """The last sequence number that counts."""
        return self.records[-1].number if self.records else 0

    def leaves(self) -> list[tuple[int, Record]]:
        """The leaf records under their indices. Raises IntegrityError (status 65) unless they follow one another."""
        records = [record for record in self.records if record.kind == LEAF]
        indices = [_index(record) for record in records]
        for before, after in itertools.pairwise(indices):
            if after != before + 1:
                raise IntegrityError(f"The write-ahead log is corrupt: leaf {after} follows leaf {before}.")
        return list(zip(indices, records, strict=True))


def _index(record: Record) -> int:
    """The index that a leaf record claims."""
    try:
        index = decode(record.payload)["i"]
    except (KeyError, ValueError):
        index = None
    if not isinstance(index, int):
        raise IntegrityError(f"The write-ahead log is corrupt: record {record.number} is no leaf.")
    return index


def read_record(data: bytes, at: int, segment: int = 0) -> Record | None:
    """The valid record at ``at``, whatever its number."""
    if at + RECORD.size > len(data):
        return None
    size, kind, zero, number, digest = RECORD.unpack_from(data, at)
    start, end = at + RECORD.size, at + RECORD.size + size + padding(size)
    if kind not in (LEAF, CHUNK, OPENING) or zero != b"\0\0\0" or end > len(data) or any(data[start + size : end]):
        return None
    payload = data[start : start + size]
    if sha256(b"\x00" + payload).digest() != digest:
        return None
    return Record(kind, number, payload, digest, segment, at)


def first_number(data: bytes, shard: bytes) -> int | None:
    """The number of a segment's first record; None when the header is not one of this log."""
    if len(data) < HEADER.size:
        return None
    magic, version, zero, first, found, rest = HEADER.unpack_from(data)
    if (magic, version, zero, found, rest) != (MAGIC, 1, 0, shard, bytes(24)):
        return None
    return int(first)


def scan(directory: Path, shard: bytes) -> Scan:
    """Read the segments in ``directory``; changes nothing.

    Raises IntegrityError (status 65) when they are corrupt.
    """
    found = Scan(sorted(directory.glob("*.wal")))
    broken = False
    for segment, path in enumerate(found.paths):
        data = path.read_bytes()
        first = first_number(data, shard)
        good = not broken and first is not None and (not found.records or first == found.written + 1)
        at = HEADER.size if good else 0
        if good:
            for record in _run(data, segment, first or 0):
                found.records.append(record)
                at = record.at + record.size
            found.end = (segment, at)
        rest = data[at:].rstrip(b"\0")
        found.dropped += rest
        broken = broken or not good or bool(rest)
        if broken:
            _refuse_corruption(path, data, at, found.written, _synced(directory))
    _drop_orphans(found)
    found.lost = max(0, (_synced(directory) or 0) - found.written)
    return found


def repair(found: Scan) -> list[Segment]:
    """Remove the torn tail from disk and open the segments for appending. Raises OSError."""
    segments = []
    first: dict[int, int] = {}
    for index, record in found.leaves():
        first.setdefault(record.segment, index)
    for number, path in enumerate(found.paths):
        if number > found.end[0] or not found.end[1]:
            path.unlink()
            continue
        segment = Segment(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), path.stat().st_size, leaf=first.get(number))
        segment.at = found.end[1] if number == found.end[0] else segment.size
        segments.append(segment)
    if found.dropped and segments:
        last = segments[-1]
        write_at(last.handle, [bytes(last.size - last.at)], last.at, last.size - last.at)
    return segments


def _run(data: bytes, segment: int, number: int) -> Iterator[Record]:
    """The unbroken run of records at the beginning of a segment."""
    at = HEADER.size
    while (record := read_record(data, at, segment)) and record.number == number:
        yield record
        at += record.size
        number += 1


def _synced(directory: Path) -> int | None:
    """How far a sync is known to have come, if that was written down."""
    try:
        mark = (directory / "synced").read_bytes()
    except FileNotFoundError:
        return None
    return int(MARK.unpack(mark)[0]) if len(mark) == MARK.size else None


def _refuse_corruption(path: Path, data: bytes, at: int, written: int, synced: int | None) -> None:
    """Raise IntegrityError when a valid record follows the break at ``at`` and that is no torn tail."""
    if synced is not None and written >= synced:
        return
    for match in _PLAUSIBLE.finditer(data, at + 4):
        start = match.start() - 4
        record = read_record(data, start) if start % 8 == 0 else None
        if record is not None and record.number > written:
            raise IntegrityError(
                f"The write-ahead log is corrupt: record {written + 1} is missing or damaged ({path.name}, "
                f"byte {at}), and record {record.number} after it is whole.",
                hint="This is no power cut. Keep a copy of the data directory and look at the disk.",
            )


def _drop_orphans(found: Scan) -> None:
    """Count openings at the end, whose leaf did not come through, to the torn tail."""
    while found.records and found.records[-1].kind == OPENING:
        orphan = found.records.pop()
        found.end = (orphan.segment, orphan.at)
        found.dropped = orphan.payload + found.dropped
