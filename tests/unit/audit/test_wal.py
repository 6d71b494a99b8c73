"""The write-ahead log while it is written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from segments import append
from tidegate.audit.scan import scan
from tidegate.audit.tree import leaf_hash
from tidegate.audit.wal import CHUNK, HEADER, Wal, preallocate, shard_id, write_at

SHARD = shard_id("example.org/gw/gw1/2026")


def refusing(code: int) -> Callable[..., int]:
    """``os.open`` on a disk that makes no further segment."""
    real = os.open

    def opening(path: Path, *how: int) -> int:
        if Path(path).name == "spare":
            raise OSError(code, os.strerror(code))
        return real(path, *how)

    return opening


def chunk(payload: bytes) -> tuple[int, bytes, bytes]:
    return CHUNK, payload, leaf_hash(payload)


@pytest.fixture
def wal(tmp_path: Path) -> Wal:
    return Wal(tmp_path, SHARD, [], written=0, size=4096)


def test_records_come_back_in_order_over_segments(wal: Wal, tmp_path: Path) -> None:
    """Numbers go on from 1 without a gap, however many segments there are."""
    for n in range(100):
        assert append(wal, [chunk(bytes([n]) * 200)]) == n + 1
    found = scan(tmp_path, SHARD)
    assert [record.number for record in found.records] == list(range(1, 101))
    assert [record.payload[0] for record in found.records] == list(range(100))
    assert len(found.paths) > 4


def test_a_segment_is_named_after_its_first_record(wal: Wal, tmp_path: Path) -> None:
    """Names are the first number in 16 hex digits."""
    for _ in range(20):
        append(wal, [chunk(bytes(1000))])
    assert [int(path.stem, 16) for path in sorted(tmp_path.glob("*.wal"))] == [1, 4, 7, 10, 13, 16, 19]


def test_records_of_one_append_lie_in_one_segment(wal: Wal, tmp_path: Path) -> None:
    """Three records that do not fit together all go to the next segment."""
    append(wal, [chunk(bytes(1800))])
    append(wal, [chunk(bytes(900))] * 3)
    assert [record.segment for record in scan(tmp_path, SHARD).records] == [0, 1, 1, 1]


def test_a_record_larger_than_a_segment_gets_one_of_its_own(wal: Wal, tmp_path: Path) -> None:
    """The size of segments is no limit for a record."""
    append(wal, [chunk(os.urandom(50_000))])
    assert len(scan(tmp_path, SHARD).records[0].payload) == 50_000


def test_pages_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write ends where a page or the segment does, so that no page is read from the disk to be written in part."""
    ends: list[int] = []
    real = os.pwritev

    def write(handle: int, buffers: Sequence[bytes], at: int) -> int:
        taken = real(handle, buffers, at)
        ends.append(at + taken)
        return taken

    wal = Wal(tmp_path, SHARD, [], written=0, size=10_000)
    append(wal, [chunk(b"x")])
    monkeypatch.setattr(os, "pwritev", write)
    for _ in range(9):
        append(wal, [chunk(os.urandom(900))])
    assert ends and all(end % 4096 == 0 or end == 10_000 for end in ends) and 10_000 in ends
    assert len(scan(tmp_path, SHARD).records) == 10
    wal.close()


def test_a_sync_covers_every_segment_written_to(wal: Wal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that spilled over into new segments are synced with those before."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    append(wal, [chunk(bytes(3000))])
    append(wal, [chunk(bytes(3000))])
    wal.sync(2)
    assert len(set(synced)) == 2
    wal.sync(2)
    assert len(synced) == 3


def test_a_sync_says_how_far_it_came(wal: Wal, tmp_path: Path) -> None:
    """The file ``synced`` holds the number."""
    append(wal, [chunk(b"x")] * 3)
    wal.sync(3)
    assert (tmp_path / "synced").read_bytes() == (3).to_bytes(8, "big")


def test_a_spare_is_made_ahead_and_used(wal: Wal, tmp_path: Path) -> None:
    """Once the current segment is half full the next is ready, and rolling takes it."""
    append(wal, [chunk(bytes(100))])
    wal.prepare()
    assert not (tmp_path / "spare").exists()
    append(wal, [chunk(bytes(2500))])
    wal.prepare()
    wal.prepare()
    assert (tmp_path / "spare").stat().st_size == 4096
    append(wal, [chunk(bytes(2500))])
    assert not (tmp_path / "spare").exists() and len(scan(tmp_path, SHARD).records) == 3


def test_no_space_for_a_spare_is_no_failure_yet(wal: Wal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log goes on in the current segment, and fails only when that is full."""
    append(wal, [chunk(bytes(2500))])
    monkeypatch.setattr(os, "open", refusing(errno.ENOSPC))
    wal.prepare()
    append(wal, [chunk(bytes(100))])
    with pytest.raises(OSError, match="No space"):
        append(wal, [chunk(bytes(2500))])


def test_another_error_while_preparing_is_a_failure(wal: Wal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a full disk may wait."""
    append(wal, [chunk(bytes(2500))])
    monkeypatch.setattr(os, "open", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        wal.prepare()


def test_a_partial_write_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes the kernel did not take are not in the log."""
    monkeypatch.setattr(os, "pwritev", lambda handle, buffers, at: 3)
    with pytest.raises(OSError, match="3 of 5"):
        write_at(0, [b"ab", b"cde"], 0, 5)


def test_preallocation_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment is there whole or not at all."""
    monkeypatch.setattr(os, "pwritev", lambda handle, buffers, at: 3)
    with pytest.raises(OSError):
        preallocate(tmp_path / "spare", 4096)
    assert not list(tmp_path.iterdir())


def test_segments_are_disposable_up_to_the_last_sealed_beginning(wal: Wal, tmp_path: Path) -> None:
    """What lies before a segment that begins with a sealed leaf can go; that segment itself stays."""
    for index in range(10):
        append(wal, [chunk(bytes(2500))], leaf=index)
    assert wal.disposable(0) == []
    segments = wal.disposable(4)
    assert [segment.leaf for segment in segments] == [0, 1, 2]
    wal.drop(segments)
    assert scan(tmp_path, SHARD).records[0].number == 4


def test_the_header_names_the_log(wal: Wal, tmp_path: Path) -> None:
    """Segments of another log are not read as one's own."""
    append(wal, [chunk(b"x")])
    (path,) = tmp_path.glob("*.wal")
    assert HEADER.unpack(path.read_bytes()[:64])[4] == SHARD
    assert scan(tmp_path, SHARD).records and not scan(tmp_path / "none", SHARD).records
