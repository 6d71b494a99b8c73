"""The recorder: what goes in comes back, and little is held."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chunks import split
from tidegate.errors import LogFailure
from tidegate.recording.frame import PLAIN_LIMIT, REDACTION, REFERENCE, redaction_hash
from tidegate.recording.writer import SAME

from .conftest import KEYS, Bench

data = st.one_of(st.binary(max_size=40), st.binary(min_size=1, max_size=3).map(lambda some: some * 50_000))
calls = st.lists(
    st.one_of(
        st.tuples(st.just("request"), data, st.one_of(st.none(), data)),
        st.tuples(st.just("response"), data, st.one_of(st.none(), data)),
        st.tuples(st.just("flush")),
    ),
    max_size=8,
)


def flows(bench: Bench, track: str) -> dict[int, bytes]:
    """All bytes of a track by direction."""
    parts: dict[int, bytes] = {}
    for record in bench.records(track):
        parts[record.direction] = parts.get(record.direction, b"") + record.payload
    return {direction: part for direction, part in parts.items() if part}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), max_size=8), st.integers(1, 5000))
def test_shifted_chunks_read_back(benches: Callable[[], Bench], steps: list[tuple[int, int]], period: int) -> None:
    """However chunks are cut against what is given, and however often the same bytes come again."""
    bench, stream, came, given = benches(), os.urandom(period) * (80_000 // period + 1), 0, 0
    recorder = bench.recorder()
    for more, kept in steps:
        end = max(given, came + more - kept)
        recorder.response(stream[came : came + more], stream[given:end])
        came, given = came + more, end
    recorder.close("done")
    expected = {2: stream[:came], 3: stream[:given]}
    found = flows(bench, "upstream") | flows(bench, "agent")
    assert found == {direction: part for direction, part in expected.items() if part}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls)
def test_what_is_recorded_reads_back(benches: Callable[[], Bench], calls: list[Any]) -> None:
    """Any sequence of calls reads back equal in all four directions."""
    bench, expected = benches(), {0: b"", 1: b"", 2: b"", 3: b""}
    recorder = bench.recorder()
    for name, *arguments in calls:
        if name == "flush":
            recorder.flush()
            continue
        first, second = arguments[0], arguments[0] if arguments[1] is None else arguments[1]
        getattr(recorder, name)(first, second)
        for direction, part in zip((0, 1) if name == "request" else (2, 3), (first, second), strict=True):
            expected[direction] += part
    recorder.close("done")
    agent, upstream = flows(bench, "agent"), flows(bench, "upstream")
    assert {direction: part for direction, part in expected.items() if part} == agent | upstream
    assert set(agent) <= {0, 3} and set(upstream) <= {1, 2}


def test_equal_bytes_cost_almost_nothing_upstream(bench: Bench) -> None:
    """Where nothing was rewritten the upstream track holds a reference only."""
    recorder = bench.recorder()
    recorder.request(os.urandom(100_000), b"")
    recorder.response(some := os.urandom(100_000), some)
    recorder.flush()
    sizes = {track: sum(map(len, chunks)) for track, chunks in groupby(bench.chunks, lambda c: split(c)[1].track)}
    assert sizes[0] > 200_000 and sizes[1] < 500


def upstream_size(bench: Bench) -> int:
    """Bytes that the upstream track takes."""
    return sum(len(chunk) for chunk in bench.chunks if split(chunk)[1].track == 1)


@pytest.mark.parametrize("stream", [os.urandom(999_999), (b"d" + b" " * 776) * 1287], ids=["random", "blank"])
def test_chunks_that_end_within_messages_are_not_recorded_twice(bench: Bench, stream: bytes) -> None:
    """What came and what was given are shifted against each other, and still the same: a reference and the rest."""
    recorder, given = bench.recorder(), 0
    for came in range(100_000, 999_999, 100_000):
        whole = came - came % 777  # messages of 777 bytes
        recorder.response(stream[came - 100_000 : came], stream[given:whole])
        recorder.flush()
        given = whole
    recorder.close("done")
    references = [record for record in bench.raw("upstream") if record.kind == SAME]
    assert sum(REFERENCE.unpack(record.payload)[1] for record in references) > 890_000
    assert upstream_size(bench) < 20_000
    assert flows(bench, "upstream") == {2: stream[:900_000]} and flows(bench, "agent") == {3: stream[:given]}


def test_what_both_sides_have_in_common_is_found_again(bench: Bench) -> None:
    """Also behind a chunk that was rewritten, and never where there is as much as a byte's difference."""
    recorder, stream = bench.recorder(), os.urandom(300_000)
    other = stream[200_000:299_000] + b"!"
    recorder.response(stream[:100_000], b"dropped" + stream[5000:99_000])
    recorder.response(stream[100_000:200_000], stream[99_000:199_000])
    recorder.response(stream[200_000:], stream[199_000:200_000] + other)
    recorder.close("done")
    assert 190_000 < upstream_size(bench) < 220_000
    assert flows(bench, "upstream") == {2: stream}
    assert flows(bench, "agent") == {3: b"dropped" + stream[5000:200_000] + other}


def test_memory_is_bounded(bench: Bench) -> None:
    """A megabyte in one call becomes frames of at most 128 KiB, and less than a frame stays open."""
    recorder = bench.recorder()
    recorder.request(os.urandom(2**20), os.urandom(2**20))
    assert all(split(chunk)[1].plain_len <= PLAIN_LIMIT for chunk in bench.chunks)
    assert sum(split(chunk)[1].plain_len for chunk in bench.chunks) > 2 * (2**20 - PLAIN_LIMIT)


def test_position_is_where_the_next_bytes_land(bench: Bench) -> None:
    """A leaf's frame and offset lead to the record, also right after a frame filled up."""
    recorder = bench.recorder()
    recorder.request(b"x" * (PLAIN_LIMIT - 60), b"")
    frame, offset = recorder.position()
    recorder.request(b"here", b"here")
    recorder.close("done")
    assert [record.payload for record in bench.records("agent") if record.offset == offset] == [b"here"]
    header = split(bench.chunks[frame])[1]
    assert (header.seq, header.plain_off) == (frame, offset) == (1, PLAIN_LIMIT - 60 + 16)


def test_a_reference_comes_after_its_bytes(bench: Bench) -> None:
    """When the upstream track fills a frame first, the agent track's frame is written before it."""
    recorder = bench.recorder()
    recorder.request(b"same", b"same")
    recorder.request(b"", os.urandom(PLAIN_LIMIT))
    assert [split(chunk)[1].track for chunk in bench.chunks] == [0, 1]


def test_a_secret_leaves_length_and_salted_hash(bench: Bench) -> None:
    """A credential is not in the record, equal ones look different, and the key holder can check a claim."""
    recorder = bench.recorder()
    recorder.redacted(0, b"hunter2", 3)
    recorder.redacted(0, b"hunter2", 3)
    recorder.close("done")
    first, second = bench.records("agent")
    digest, size, reason = REDACTION.unpack(first.payload)
    assert (size, reason) == (7, 3) and digest == redaction_hash(KEYS["agent"], first.offset, b"hunter2")
    assert digest != second.payload[:32] and hashlib.sha256(b"hunter2").digest() != digest


def test_events_are_on_the_agent_track(bench: Bench) -> None:
    """An event reads back as JSON, direction 4."""
    recorder = bench.recorder()
    recorder.event({"held": True})
    recorder.close("done")
    assert [(r.direction, r.kind, r.payload) for r in bench.records("agent")] == [(4, 5, b'{"held":true}')]


def test_an_event_too_large_is_refused(bench: Bench) -> None:
    """An event over 64 KiB is an error, not a cut text."""
    with pytest.raises(ValueError, match="at most"):
        bench.recorder().event({"text": "x" * 70_000})


def test_seals_cover_everything(bench: Bench) -> None:
    """Seals close what is open, references of the upstream track included; close gives the final ones."""
    recorder = bench.recorder()
    recorder.request(b"a", b"a")
    recorder.flush()
    sealed = recorder.seals()
    assert [seal[0] for seal in sealed.values()] == [1, 1]
    assert recorder.close("done") == sealed


def test_references_wait_but_bytes_do_not(bench: Bench) -> None:
    """A flush writes every byte; a track that only refers to the other one is not written for it."""
    recorder = bench.recorder()
    recorder.request(b"a", b"a")
    recorder.flush()
    assert len(bench.chunks) == 1
    recorder.request(b"a", b"b")
    recorder.flush()
    assert len(bench.chunks) == 3


def test_nothing_after_close(bench: Bench) -> None:
    """A closed recorder takes nothing, and does not close twice."""
    recorder = bench.recorder()
    recorder.close("done")
    with pytest.raises(ValueError, match="closed"):
        recorder.request(b"late", b"late")
    with pytest.raises(ValueError, match="closed"):
        recorder.close("again")


def test_a_failed_write_never_reuses_a_number(bench: Bench) -> None:
    """After the log failed, the sequence number of the lost frame is not used for other bytes."""
    recorder = bench.recorder()
    failing = bench.recorder()

    def fail(chunk: bytes, _digest: bytes) -> None:
        bench.chunks.append(chunk)
        raise LogFailure("full")

    recorder._agent._write = fail
    for word in (b"one", b"two"):
        recorder.request(word, b"")
        with pytest.raises(LogFailure):
            recorder.flush()
    assert [split(chunk)[1].seq for chunk in bench.chunks] == [0, 1]
    assert failing.seals()["agent"][0] == 0


@pytest.mark.parametrize("size, codec", [(400, 0), (4000, 1)])
def test_small_frames_are_not_compressed(bench: Bench, size: int, codec: int) -> None:
    """Compression starts above 512 bytes."""
    recorder = bench.recorder()
    recorder.request(b"x" * size, b"")
    recorder.flush()
    assert split(bench.chunks[0])[1].codec == codec
