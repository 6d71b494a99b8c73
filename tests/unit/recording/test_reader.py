"""Reading back: any change of the file is found and named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chunks import split
from tidegate.errors import IntegrityError
from tidegate.recording.frame import frame_hash
from tidegate.recording.reader import describe, frames, read
from tidegate.recording.tree import Tree

from .conftest import KEYS, Bench


@pytest.fixture
def files(bench: Bench) -> dict[str, Path]:
    """A closed session of three frames on the agent track and two upstream."""
    recorder = bench.recorder()
    for number in range(3):
        recorder.request(b"question %d" % number, b"" if number == 2 else b"question %d" % number)
        recorder.flush()
    recorder.close("done")
    return bench.shelve()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_is_named(files: dict[str, Path], data: st.DataObject) -> None:
    """Flipping any bit anywhere is an error that names the frame, trailer or file header."""
    whole = files["agent"].read_bytes()
    at = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytearray(whole)
    changed[at // 8] ^= 1 << at % 8
    copy = files["agent"].with_suffix(".changed")
    copy.write_bytes(changed)
    with pytest.raises(IntegrityError, match=r"frame \d|trailer|file header"):
        list(read(copy, KEYS["agent"]))


def test_every_cut_is_found_with_the_seal(files: dict[str, Path], bench: Bench) -> None:
    """With the audit log's seal every truncation before the trailer is an error."""
    whole, path = files["agent"].read_bytes(), files["agent"]
    tree = Tree()
    for chunk in bench.chunks:
        if split(chunk)[1].track == 0 and split(chunk)[1].seq < 3:
            tree.append(frame_hash(chunk))
    trailer = len(next(chunk for chunk in reversed(bench.chunks) if split(chunk)[1].track == 0))
    for size in range(0, len(whole) - trailer, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(IntegrityError):
            list(read(path, KEYS["agent"], seal=(3, tree.root())))


def test_a_missing_trailer_is_tolerated(bench: Bench) -> None:
    """A live or crashed session reads up to its last frame."""
    recorder = bench.recorder()
    recorder.request(b"hello", b"rewritten")
    recorder.flush()
    assert [record.payload for record in bench.records("upstream")] == [b"rewritten"]


def test_another_root_is_found(files: dict[str, Path]) -> None:
    """A whole recording that is not the sealed one is an error."""
    with pytest.raises(IntegrityError, match=r"frames 0 to 1 .* audit log sealed"):
        list(read(files["agent"], KEYS["agent"], seal=(2, "00" * 32)))


def test_the_wrong_key_is_said(files: dict[str, Path]) -> None:
    """The operator's key on the auditors' track is told apart from tampering."""
    with pytest.raises(IntegrityError) as caught:
        list(read(files["upstream"], KEYS["agent"]))
    assert caught.value.code == "recording.key"


def test_a_frame_cannot_move(files: dict[str, Path], bench: Bench) -> None:
    """Frames in another order, or left out, are errors."""
    chunks = [chunk for chunk in bench.chunks if split(chunk)[1].track == 0]
    files["agent"].write_bytes(b"".join([chunks[0], chunks[2], chunks[1]]))
    with pytest.raises(IntegrityError, match="frame 1 is missing"):
        list(read(files["agent"], KEYS["agent"]))


def test_nothing_after_the_trailer(files: dict[str, Path], bench: Bench) -> None:
    """Bytes after the trailer are an error."""
    chunks = [chunk for chunk in bench.chunks if split(chunk)[1].track == 0]
    with files["agent"].open("ab") as file:
        file.write(chunks[1])
    with pytest.raises(IntegrityError, match="trailer"):
        list(read(files["agent"], KEYS["agent"]))


def test_references_stay_without_the_agent_track(files: dict[str, Path]) -> None:
    """Without the agent track, references are yielded as such."""
    assert [record.kind for record in read(files["upstream"], KEYS["upstream"])] == [6, 6]


def test_a_reference_into_nothing_is_found(files: dict[str, Path], bench: Bench) -> None:
    """An agent track that was cut off is an error of the upstream track that refers to it."""
    first = next(chunk for chunk in bench.chunks if split(chunk)[1].track == 0)
    files["agent"].write_bytes(first)
    with pytest.raises(IntegrityError, match="agent track"):
        list(read(files["upstream"], KEYS["upstream"], agent=(files["agent"], KEYS["agent"])))


def test_frames_need_no_key(files: dict[str, Path], bench: Bench) -> None:
    """A seal can be checked by who cannot read the bytes: the hash of a frame is that of its chunk."""
    hashes = [frame_hash(chunk) for chunk in bench.chunks if split(chunk)[1].track == 1]
    assert [frame.hash for frame in frames(files["upstream"])] == hashes


def test_offsets_are_checked_without_a_key(files: dict[str, Path], bench: Bench) -> None:
    """A frame that claims another place among the plain bytes is found by who has no key, too."""
    whole = bytearray(files["agent"].read_bytes())
    whole[len(bench.chunks[0]) + 15] ^= 1
    files["agent"].write_bytes(whole)
    with pytest.raises(IntegrityError, match="frame 1"):
        list(frames(files["agent"]))


def test_the_header_tells_the_recording(files: dict[str, Path], bench: Bench) -> None:
    """Session, track and the caller's fields are readable without a key."""
    header = describe(files["upstream"])
    assert header.sid == bench.sid
    assert header.fields == {"res": "shop", "gw": "gw1", "sid": str(bench.sid), "track": "upstream"}


@pytest.mark.parametrize("size", [0, 10, 64])
def test_garbage_is_no_recording(tmp_path: Path, size: int) -> None:
    """Any other file is an IntegrityError, never a surprise."""
    path = tmp_path / "garbage"
    path.write_bytes(os.urandom(size))
    with pytest.raises(IntegrityError, match="file header"):
        list(frames(path))
