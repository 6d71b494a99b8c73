"""What counts after a stop: laws over every way to end."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segments import append
from tidegate.audit.scan import Scan, repair, scan
from tidegate.audit.tree import leaf_hash
from tidegate.audit.wal import CHUNK, OPENING, RECORD, Wal, shard_id
from tidegate.errors import IntegrityError

SHARD = shard_id("example.org/gw/gw1/2026")
PAYLOADS = [bytes([n]) * (n * 13 % 90 + 1) for n in range(1, 30)]


def fill(directory: Path, *, synced: int = 0) -> Path:
    """One segment with PAYLOADS; with ``synced``, the hint says that so many are durable."""
    wal = Wal(directory, SHARD, [], written=0, size=8192)
    for payload in PAYLOADS:
        append(wal, [(CHUNK, payload, leaf_hash(payload))])
    if synced:
        wal.sync(synced)
    else:
        (directory / "synced").unlink()
    wal.close()
    return next(directory.glob("*.wal"))


def payloads(found: Scan) -> list[bytes]:
    return [record.payload for record in found.records]


def change(path: Path, edit: Callable[[bytearray], None]) -> None:
    data = bytearray(path.read_bytes())
    edit(data)
    path.write_bytes(data)


@given(st.data())
def test_any_cut_leaves_a_prefix(data: st.DataObject) -> None:
    """However short the segment is cut, and whatever garbage follows, the records before it come back."""
    with tempfile.TemporaryDirectory() as place:
        path = fill(Path(place))
        cut = data.draw(st.integers(0, path.stat().st_size))
        garbage = data.draw(st.binary(max_size=64))
        path.write_bytes(path.read_bytes()[:cut] + garbage)
        found = scan(Path(place), SHARD)
        assert payloads(found) == PAYLOADS[: len(found.records)]
        assert not found.dropped or found.dropped[-1]
        repair(found)
        assert payloads(scan(Path(place), SHARD)) == payloads(found)


def test_a_whole_log_drops_nothing(tmp_path: Path) -> None:
    """Without damage every record counts."""
    fill(tmp_path, synced=29)
    found = scan(tmp_path, SHARD)
    assert (payloads(found), found.dropped, found.lost) == (PAYLOADS, b"", 0)


@pytest.mark.parametrize("hint", [0, 29])
def test_a_hole_before_a_valid_record_is_corruption(tmp_path: Path, hint: int) -> None:
    """Damage that whole records follow is refused: with the hint, and without it."""
    path = fill(tmp_path, synced=hint)
    at = scan(tmp_path, SHARD).records[10].at
    change(path, lambda data: data.__setitem__(at + RECORD.size, 255))
    with pytest.raises(IntegrityError, match="record 11 is missing or damaged") as caught:
        scan(tmp_path, SHARD)
    assert caught.value.status == 65


def test_every_damaged_byte_of_a_record_is_found(tmp_path: Path) -> None:
    """Header, payload and padding: a bit changed anywhere before the last record is corruption."""
    path = fill(tmp_path)
    records = scan(tmp_path, SHARD).records
    for at in range(records[3].at, records[4].at):
        original = path.read_bytes()
        change(path, lambda data, at=at: data.__setitem__(at, data[at] ^ 4))  # type: ignore[misc]
        with pytest.raises(IntegrityError):
            scan(tmp_path, SHARD)
        path.write_bytes(original)


def test_a_hole_behind_the_last_sync_is_a_torn_tail(tmp_path: Path) -> None:
    """A power cut may lose any sector that was not synced, and keep a later one."""
    path = fill(tmp_path, synced=10)
    at = scan(tmp_path, SHARD).records[10].at
    change(path, lambda data: data.__setitem__(at + RECORD.size, 255))
    found = scan(tmp_path, SHARD)
    assert payloads(found) == PAYLOADS[:10] and found.dropped and not found.lost


def test_synced_records_that_are_gone_are_counted(tmp_path: Path) -> None:
    """A cut tail that had been synced is recovered from, but it is no secret."""
    path = fill(tmp_path, synced=29)
    at = scan(tmp_path, SHARD).records[20].at
    path.write_bytes(path.read_bytes()[:at])
    assert scan(tmp_path, SHARD).lost == 9


def test_a_missing_segment_is_corruption(tmp_path: Path) -> None:
    """A gap between segments is a hole like any other."""
    wal = Wal(tmp_path, SHARD, [], written=0, size=1024)
    for payload in PAYLOADS:
        append(wal, [(CHUNK, payload, leaf_hash(payload))])
    wal.sync(len(PAYLOADS))
    sorted(tmp_path.glob("*.wal"))[1].unlink()
    with pytest.raises(IntegrityError, match="corrupt"):
        scan(tmp_path, SHARD)


def test_openings_without_their_leaf_are_torn_off(tmp_path: Path) -> None:
    """An opening stands before its leaf; alone at the end it does not count."""
    wal = Wal(tmp_path, SHARD, [], written=0, size=4096)
    append(wal, [(CHUNK, b"a", leaf_hash(b"a"))])
    append(wal, [(OPENING, b"o", leaf_hash(b"o"))] * 2)
    found = scan(tmp_path, SHARD)
    assert payloads(found) == [b"a"] and found.dropped == b"oo"
    repair(found)
    assert scan(tmp_path, SHARD).dropped == b""


def test_writing_goes_on_after_a_repair(tmp_path: Path) -> None:
    """The next record takes the number and the place of the one that was torn."""
    path = fill(tmp_path, synced=5)
    cut = scan(tmp_path, SHARD).records[7].at + 20
    path.write_bytes(path.read_bytes()[:cut] + random.Random(1).randbytes(99) + bytes(8192 - cut - 99))
    found = scan(tmp_path, SHARD)
    wal = Wal(tmp_path, SHARD, repair(found), written=found.written, size=8192)
    assert append(wal, [(CHUNK, b"next", leaf_hash(b"next"))]) == 8
    assert payloads(scan(tmp_path, SHARD)) == [*PAYLOADS[:7], b"next"]


def test_a_leaf_record_must_be_a_leaf(tmp_path: Path) -> None:
    """A chunk whose type was changed into a leaf's is noticed."""
    path = fill(tmp_path)
    at = scan(tmp_path, SHARD).records[3].at
    change(path, lambda data: data.__setitem__(at + 4, 1))
    with pytest.raises(IntegrityError, match="is no leaf"):
        scan(tmp_path, SHARD).leaves()
