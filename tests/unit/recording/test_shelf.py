"""The shelf: chunks become files, again and again, whatever a crash left."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chunks import split
from tidegate.clock import SystemClock
from tidegate.errors import IntegrityError
from tidegate.recording.shelf import Shelf, place
from tidegate.recording.writer import Recorder

from .conftest import Bench


@pytest.fixture
def chunks(bench: Bench) -> list[bytes]:
    """The agent track of a session: three frames and the trailer."""
    recorder = bench.recorder()
    for number in range(3):
        recorder.request(b"question %d" % number, b"")
        recorder.flush()
    recorder.close("done")
    return [chunk for chunk in bench.chunks if split(chunk)[1].track == 0]


def shelve(directory: Path, chunks: list[bytes]) -> None:
    """Append all and close."""
    shelf = Shelf(directory)
    for chunk in chunks:
        shelf.append([chunk])
    shelf.close()


def test_the_day_is_that_of_the_session(tmp_path: Path) -> None:
    """The folder follows from the UUIDv7's time in UTC."""
    sid = uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")  # RFC 9562 appendix A.6: 2022-02-22
    assert place(tmp_path, sid, "agent") == tmp_path / "rec/2022/02/22" / f"{sid}.agent.gwrec"


def test_a_session_without_time_has_no_place(tmp_path: Path) -> None:
    """A UUID of another version is refused for writing and finds nothing."""
    with pytest.raises(IntegrityError):
        place(tmp_path, uuid.uuid4(), "agent")
    assert Shelf(tmp_path).find(uuid.uuid4()) == {}
    assert Shelf(tmp_path).find(uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")) == {}


def test_a_file_is_its_chunks(chunks: list[bytes], bench: Bench) -> None:
    """Chunks one after the other, readable by the owner only."""
    path = bench.shelve()["agent"]
    assert path.read_bytes() == b"".join(chunks)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 3), cut=st.integers(0, 600), garbage=st.binary(max_size=100))
def test_recovery_heals_any_tail(
    chunks: list[bytes], bench: Bench, tmp_path: Path, start: int, cut: int, garbage: bytes
) -> None:
    """Replaying the log from any chunk restores the file, whatever the crash left of what was not synced."""
    path = place(tmp_path, bench.sid, "agent")
    path.parent.mkdir(parents=True, exist_ok=True)
    synced = b"".join(chunks[:start])
    path.write_bytes(synced + b"".join(chunks[start:])[:cut] + garbage)
    shelve(tmp_path, chunks[start:])
    assert path.read_bytes() == b"".join(chunks)


def test_many_sessions_cost_no_more_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tracks than files may be open: appending neither syncs nor reads, and ``sync`` forgets none."""
    clock, chunks = SystemClock(), list[bytes]()
    shelf = Shelf(tmp_path, keep_open=2)
    keys = {"agent": bytes(32), "upstream": bytes(32)}
    sids = [clock.session_id() for _ in range(4)]
    recorders = [
        Recorder(sid, header={}, keys=keys, write=lambda chunk, _: chunks.append(chunk), clock=clock) for sid in sids
    ]
    calls, fsync, pread = [], os.fsync, os.pread
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync") or fsync(handle))
    monkeypatch.setattr(os, "pread", lambda *asked: calls.append("pread") or pread(*asked))
    for turn in range(20):
        for recorder in recorders:
            recorder.request(b"question %d" % turn, b"")
            recorder.flush()
        if turn == 1:
            calls.clear()
        shelf.append(chunks)
        chunks.clear()
    assert calls == []
    shelf.sync()
    assert calls.count("fsync") >= 2 * len(sids)
    for recorder in recorders:
        recorder.close("done")
    shelf.append(chunks)
    shelf.close()
    assert all(shelf.seals(str(sid)) == recorder.seals() for sid, recorder in zip(sids, recorders, strict=True))


def test_a_garbled_body_is_written_anew(chunks: list[bytes], bench: Bench, tmp_path: Path) -> None:
    """A frame whose header reached the disk before its body is healed from the log."""
    path = bench.shelve()["agent"]
    whole = bytearray(path.read_bytes())
    whole[len(chunks[0]) + 70] ^= 0xFF
    path.write_bytes(whole)
    shelve(tmp_path, chunks)
    assert path.read_bytes() == b"".join(chunks)


def test_a_torn_tail_does_not_stay(chunks: list[bytes], bench: Bench, tmp_path: Path) -> None:
    """What a crash left behind the next frame's end is cut off when that frame is written."""
    path = place(tmp_path, bench.sid, "agent")
    path.parent.mkdir(parents=True)
    path.write_bytes(chunks[0] + bytes(1000))
    shelve(tmp_path, [chunks[1]])
    assert path.read_bytes() == chunks[0] + chunks[1]


def test_a_gap_is_an_error(chunks: list[bytes], tmp_path: Path) -> None:
    """A frame without the one before it is not written."""
    with pytest.raises(IntegrityError, match="frame 2 comes where frame 1 is missing"):
        shelve(tmp_path, [chunks[0], chunks[2]])


def test_another_frame_with_a_number_is_an_error(bench: Bench, chunks: list[bytes]) -> None:
    """A number that is taken by other bytes is never overwritten."""
    path, second = bench.shelve()["agent"], bench.recorder()
    bench.chunks.clear()
    second.request(b"a much longer question than the one before", b"")
    second.flush()
    with pytest.raises(IntegrityError, match="another frame 0"):
        shelve(bench.directory, bench.chunks)
    assert path.read_bytes() == b"".join(chunks)


def test_first_chunk_needs_a_file_header(chunks: list[bytes], tmp_path: Path) -> None:
    """A file never starts with a frame."""
    preamble, _, _ = split(chunks[0])
    with pytest.raises(IntegrityError, match="file header"):
        shelve(tmp_path, [chunks[0][len(preamble) :]])


@pytest.mark.parametrize("chunk", [b"", b"TGFR", b"TGREC\r\n\x01", os.urandom(200)])
def test_what_is_no_chunk_is_refused(tmp_path: Path, chunk: bytes) -> None:
    """Garbage is an IntegrityError and leaves no file."""
    with pytest.raises(IntegrityError):
        Shelf(tmp_path).append([chunk])
    assert not list(tmp_path.iterdir())


def test_open_files_are_bounded(tmp_path: Path) -> None:
    """Three sessions share one open file, and their tracks stay whole."""
    shelf, benches = Shelf(tmp_path, keep_open=1), [Bench(tmp_path) for _ in range(3)]
    recorders = [bench.recorder() for bench in benches]
    before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        for bench, recorder in zip(benches, recorders, strict=True):
            recorder.request(b"%d" % number, b"")
            recorder.flush()
            shelf.append([bench.chunks[-1]])
            assert len(os.listdir("/proc/self/fd")) <= before + 1
    shelf.sync()
    assert [b"".join(bench.chunks) for bench in benches] == [
        shelf.find(bench.sid)["agent"].read_bytes() for bench in benches
    ]


def test_what_is_synced_leaves_the_memory_but_for_its_last_page(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole pages go, once they are on the disk; the page that is written next need not be read again."""
    calls, fsync, advise = list[object](), os.fsync, os.posix_fadvise
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append("fsync") or fsync(handle))
    monkeypatch.setattr(os, "posix_fadvise", lambda *how: calls.append(how[1:]) or advise(*how))
    recorder, shelf = bench.recorder(), Shelf(tmp_path)
    recorder.request(os.urandom(10_000), b"")
    recorder.flush()
    shelf.append(bench.chunks)
    shelf.sync()
    assert calls[:2] == ["fsync", (0, 8192, os.POSIX_FADV_DONTNEED)]
    shelf.close()
    assert shelf.find(bench.sid)["agent"].read_bytes() == b"".join(bench.chunks)


def test_sync_reaches_files_and_folders(chunks: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sync covers the file and every folder above it, once."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")))
    shelf = Shelf(tmp_path)
    shelf.append([chunks[0]])
    shelf.sync()
    path = place(tmp_path, split(chunks[0])[1].sid, "agent")
    assert set(synced) == {str(path), *map(str, path.parents[:5])}
    shelf.sync()
    assert len(synced) == 6


def test_a_failing_disk_is_not_hidden(chunks: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of fsync passes through."""

    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    shelf = Shelf(tmp_path)
    shelf.append([chunks[0]])
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        shelf.sync()
