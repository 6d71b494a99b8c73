"""The log as the rest of the gateway sees it."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tidegate.audit.checkpoint import Verifier, open_checkpoint
from tidegate.audit.log import STAGED, Log
from tidegate.audit.seal import check_opening, open_vault
from tidegate.audit.tree import leaf_hash, verify_inclusion
from tidegate.audit.verify import verify
from tidegate.audit.writer import TRUST
from tidegate.errors import ConfigError, IntegrityError, LogFailure

Opener = Callable[..., Log]


class Frames:
    """A chunk sink that remembers."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.synced = 0

    def append(self, frames: Sequence[bytes]) -> None:
        self.taken += [frame for frame in frames if frame not in self.taken]

    def seals(self, sid: str) -> dict[str, tuple[int, str]]:
        return {}

    def sync(self) -> None:
        self.synced = len(self.taken)


def story(log: Log, *steps: Callable[[Log], Any]) -> list[Any]:
    """Start the log, run the steps on the loop, sync, stop."""

    async def run() -> list[Any]:
        log.start()
        results = [step(log) for step in steps]
        await log.sync()
        await log.stop("test")
        return results

    return asyncio.run(run())


def leaf(log: Log, index: int) -> dict[str, Any]:
    return dict(json.loads(log.leaf(index)))


def kinds(log: Log) -> list[str]:
    return [json.loads(entry)["k"] for entry in log.leaves(0, log.size)]


def test_a_new_log_begins_durably(open_log: Opener) -> None:
    """The first leaf names the key; it is durable and signed before open returns."""
    log = open_log()
    genesis = leaf(log, 0)
    assert (genesis["k"], genesis["org"], genesis["gw"], genesis["vkey"]) == (
        "log.genesis", "example.org", "gw1", log.vkey,
    )  # fmt: skip
    assert log.durable == log.written == log.size == 1
    assert open_checkpoint(log.checkpoint(), Verifier.parse(log.vkey)).size == 1
    assert (log.directory / "trust.txt").read_text() == f"log {log.vkey}\nquorum none\n"
    log.close()


def test_secret_files_are_private(open_log: Opener) -> None:
    """The key directory is 0700 and the key 0600."""
    log = open_log()
    log.close()
    assert (log.directory / "keys").stat().st_mode & 0o777 == 0o700
    assert (log.directory / "keys" / "log.key").stat().st_mode & 0o777 == 0o600


def test_a_leaf_carries_what_every_leaf_has(open_log: Opener) -> None:
    """Version, index, kind, both clocks, boot and gateway are the log's to add."""
    log = open_log()
    (index,) = story(log, lambda log: log.append("gw.start", {"ver": "1"}))
    found = leaf(log, index)
    assert {"v": 1, "i": 1, "k": "gw.start", "gw": "gw1", "ver": "1"}.items() <= found.items()
    assert uuid.UUID(found["b"]) and found["t"] > 1_700_000_000_000_000 and found["m"] > 0


def test_private_parts_are_committed_and_sealed(open_log: Opener, auditor: pyrage.x25519.Identity) -> None:
    """The leaf holds commitments only; the opening is in the sealed store, for the auditor."""
    log, sid = open_log(), uuid.uuid4()
    vault = log.vault(sid)
    secret = {"stmt": b"select secret", "why": b"because"}
    (index,) = story(log, lambda log: log.append("op.intent", {"x": 1}, private=secret, vault=vault))
    assert b"secret" not in log.leaf(index)
    salt, text = open_vault(log.directory, sid, str(auditor)).opening(index, "stmt")
    assert text == b"select secret" and check_opening(leaf(log, index)["c"]["stmt"], salt, text)


def test_without_a_vault_the_gateways_own_is_used(open_log: Opener, auditor: pyrage.x25519.Identity) -> None:
    """Private parts of leaves outside sessions are sealed under keys of this start."""
    log = open_log()
    (index,) = story(log, lambda log: log.append("auth.fail", private={"net": b"192.0.2.1"}))
    opened = open_vault(log.directory, uuid.UUID(leaf(log, index)["b"]), str(auditor))
    assert opened.opening(index, "net")[1] == b"192.0.2.1"


@pytest.mark.parametrize(
    ("kind", "fields", "private"),
    [("no.kind", {}, {}), ("gw.start", {"i": 5}, {}), ("gw.start", {"f": 1.5}, {}), ("gw.start", {}, {"data": b""}),
     ("gw.start", {"x": "a" * 40_000}, {})],
)  # fmt: skip
def test_what_is_no_leaf_is_refused(open_log: Opener, kind: str, fields: Any, private: Any) -> None:
    """Unknown kinds, the log's own keys, odd values, unknown compartments, large leaves: and no index is lost."""
    log = open_log()
    with pytest.raises(ValueError):
        log.append(kind, fields, private=private)
    assert log.append("gw.start") == 1
    log.close()


def test_waiters_hear_once_their_record_is_durable(open_log: Opener) -> None:
    """Callbacks come after the commit that covers them, in order; at once when it is over."""

    async def run(log: Log) -> list[tuple[int, bool]]:
        log.start()
        heard: list[tuple[int, bool]] = []
        for number in range(20):
            log.append("log.heartbeat")
            written = log.written
            log.when_durable(written, lambda error, n=number, w=written: heard.append((n, log.durable >= w)))
        await log.sync()
        await asyncio.sleep(0)
        log.when_durable(1, lambda error: heard.append((20, error is None)))
        await log.stop("test")
        return heard

    assert asyncio.run(run(open_log())) == [(number, True) for number in range(21)]


def test_every_sealed_leaf_has_a_proof(open_log: Opener) -> None:
    """Inclusion proofs hold under the checkpoint, also over full tiles, and after reopening."""
    log = open_log()
    story(log, *[lambda log: log.append("log.heartbeat")] * 600)
    log = open_log()
    point = open_checkpoint(log.checkpoint(), Verifier.parse(log.vkey))
    assert point.size == log.size == 602
    for index in (0, 1, 255, 256, 300, 511, 512, 601):
        assert verify_inclusion(leaf_hash(log.leaf(index)), index, 602, log.proof(index), point.root)
    with pytest.raises(ValueError, match="no leaf 602"):
        log.proof(602)
    log.close()


def test_leaves_can_be_read_before_and_after_they_are_in_a_bundle(open_log: Opener) -> None:
    """Reading does not care where an entry is; beyond the end there is nothing."""
    log = open_log()
    numbers = [log.append("config.changed", {"x": n}) for n in range(600)]
    assert [json.loads(entry)["x"] for entry in log.leaves(1, 9999)] == list(range(600))
    story(log)
    assert [leaf(log, number)["x"] for number in numbers] == list(range(600))
    with pytest.raises(IndexError):
        log.leaf(log.size)


def test_recent_goes_back_to_a_time(open_log: Opener) -> None:
    """Newest leaves first, none older than asked for."""
    log = open_log()
    story(log, *[lambda log: log.append("log.heartbeat")] * 300)
    since = leaf(log, 290)["t"]
    recent = [found["i"] for found in log.recent(since)]
    assert recent == sorted(recent, reverse=True) and min(recent) <= 290 and len(recent) < 300
    assert len(list(log.recent(0))) == log.size


def test_old_segments_go_once_everything_is_elsewhere(open_log: Opener) -> None:
    """After a checkpoint few segments are left, and the recordings were synced before."""
    frames = Frames()
    log = open_log(chunks=frames)
    chunks = [os.urandom(3000) for _ in range(100)]
    steps = [lambda log, c=chunk: (log.append("log.heartbeat"), log.append_chunk(c, leaf_hash(c))) for chunk in chunks]
    story(log, *steps)
    assert len(list((log.directory / "wal").glob("*.wal"))) <= 2
    assert len(frames.taken) == 100 and frames.synced > 50
    log = open_log(chunks=frames)
    assert log.size == 102 and len(frames.taken) == frames.synced == 100
    log.close()


def test_a_clean_stop_needs_no_recovery(open_log: Opener) -> None:
    """After log.stop, the next start writes nothing of its own."""
    story(open_log())
    log = open_log()
    assert kinds(log) == ["log.genesis", "log.stop"]
    log.close()


def crash(log: Log) -> None:
    """What is in the kernel stays; nothing else is said."""
    log.close()


def test_a_crash_closes_intents_and_sessions(open_log: Opener) -> None:
    """Open intents become indeterminate and open sessions end, with counters that go on; verify agrees."""
    log = open_log()
    log.append("gw.start")
    log.append("session.start", {"sid": "s1", "n": 1})
    log.append("session.start", {"sid": "s2", "n": 1})
    done, hanging = (log.append("op.intent", {"sid": "s1", "n": n}) for n in (2, 3))
    log.append("op.outcome", {"sid": "s1", "n": 4, "of": done, "st": "ok"})
    log.append("session.end", {"sid": "s2", "n": 2, "total": 2})
    crash(log)
    log = open_log()
    assert kinds(log)[-3:] == ["op.outcome", "session.end", "log.recovered"]
    assert {"of": hanging, "st": "indeterminate", "n": 5}.items() <= leaf(log, log.size - 3).items()
    assert {"sid": "s1", "n": 6, "total": 6, "reason": "gateway_crash"}.items() <= leaf(log, log.size - 2).items()
    crash(log)
    assert verify(log.directory).status == 0
    log = open_log()
    assert kinds(log)[-2:] == ["log.recovered", "log.recovered"]
    crash(log)


def test_a_torn_tail_is_dropped_and_said(open_log: Opener) -> None:
    """Garbage after the last record goes, and log.recovered says how much it was."""
    log = open_log()
    crash(log)
    (segment,) = (log.directory / "wal").glob("*.wal")
    data = segment.read_bytes().rstrip(b"\0")
    segment.write_bytes((data + bytes(-len(data) % 8) + b"torn").ljust(2**16, b"\0"))
    log = open_log()
    assert {"dropped_bytes": 4, "lost": 0}.items() <= leaf(log, 1).items()
    crash(log)
    assert verify(log.directory).status == 0


def test_a_hole_is_not_recovered_from(open_log: Opener) -> None:
    """A damaged record before whole ones that were synced: status 65, and nothing is changed."""
    log = open_log()
    story(log, *[lambda log: log.append("log.heartbeat")] * 5)
    (segment,) = (log.directory / "wal").glob("*.wal")
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        open_log()
    assert caught.value.status == 65 and segment.read_bytes() == data


def test_a_log_that_was_cut_back_does_not_start(open_log: Opener) -> None:
    """Fewer leaves than the checkpoint signs: status 66."""
    log = open_log()
    old = {path: path.read_bytes() for path in (log.directory / "wal").iterdir()}
    story(log, *[lambda log: log.append("log.heartbeat")] * 5)
    for path, data in old.items():
        path.write_bytes(data)
    with pytest.raises(IntegrityError, match="signs 7 leaves, but only 1") as caught:
        open_log()
    assert caught.value.status == 66


@pytest.mark.parametrize("gone", [["wal"], ["wal", "log"]])
def test_a_log_whose_leaves_are_gone_does_not_begin_anew(open_log: Opener, gone: list[str]) -> None:
    """Where a key says that there was a log, an empty directory is a loss."""
    log = open_log()
    story(log)
    for name in gone:
        for path in sorted((log.directory / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(IntegrityError) as caught:
        open_log()
    assert caught.value.status == 66


def test_a_start_that_was_cut_short_can_be_repeated(open_log: Opener, tmp_path: Path) -> None:
    """Before the first leaf is durable there is no log, whatever files are there already."""
    log = open_log()
    crash(log)
    (log.directory / "keys" / "log.key").rename(log.directory / "keys" / "log.key.fresh")
    for path in [*(log.directory / "wal").iterdir(), *(log.directory / "log").rglob("checkpoint")]:
        path.unlink()
    again = open_log()
    assert again.vkey == log.vkey and kinds(again) == ["log.genesis"]
    crash(again)


def test_tiles_that_contradict_the_checkpoint_stop_the_start(open_log: Opener) -> None:
    """What was changed below the root is noticed before anything is written."""
    log = open_log()
    story(log)
    tile = log.directory / "log" / log.origin[-4:] / "tile" / "0" / "000.p" / "2"
    tile.write_bytes(bytes(64))
    with pytest.raises(IntegrityError, match="do not lead to the root"):
        open_log()


def test_a_tree_that_contradicts_the_write_ahead_log_stops_the_start(open_log: Opener) -> None:
    """A full bundle rewritten on disk is compared with the leaves that the write-ahead log still holds."""
    log = open_log(segment=2**20)
    story(log, *[lambda log: log.append("log.heartbeat")] * 300)
    path = log.directory / "log" / log.origin[-4:] / "tile" / "entries" / "000"
    path.write_bytes(path.read_bytes().replace(b'"gw1"', b'"gw2"'))
    with pytest.raises(IntegrityError, match="Leaf 0 in the write-ahead log is not"):
        open_log()


def test_two_gateways_do_not_share_a_directory(open_log: Opener) -> None:
    """The second is refused in clear words, and the first does not notice."""
    log = open_log()
    with pytest.raises(ConfigError, match="Another gateway") as caught:
        open_log()
    assert caught.value.code == "data.locked"
    story(log)
    open_log().close()


def test_a_directory_open_to_others_is_refused(open_log: Opener, tmp_path: Path) -> None:
    """Where other accounts may put files, nothing read back is the gateway's own for sure."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    with pytest.raises(ConfigError, match="Other accounts"):
        open_log()


def test_a_directory_belongs_to_one_name(open_log: Opener) -> None:
    """Another gateway's name on the same directory is a mistake in the configuration."""
    open_log().close()
    with pytest.raises(ConfigError, match="belongs to"):
        open_log(gateway="gw2")
    with pytest.raises(ConfigError, match="named by"):
        open_log(organisation="a b")


def test_checkpoints_follow_leaves_by_themselves(open_log: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leaf that no checkpoint covers gets one without anybody asking."""
    monkeypatch.setattr("tidegate.audit.log.SEAL_AFTER", 0.01)

    async def run(log: Log) -> int:
        log.start()
        log.append("gw.start")
        async with asyncio.timeout(30):
            while b"\n2\n" not in log.checkpoint():  # noqa: ASYNC110 - a thread publishes it and tells nobody
                await asyncio.sleep(0.01)
        size = open_checkpoint(log.checkpoint(), Verifier.parse(log.vkey)).size
        await log.stop("test")
        return size

    assert asyncio.run(run(open_log())) == 2


def test_silence_is_broken_by_heartbeats(open_log: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle log says that it is alive."""
    monkeypatch.setattr("tidegate.audit.log.HEARTBEAT", 0.01)

    async def run(log: Log) -> None:
        beaten = asyncio.Event()
        log.start()
        log.when_durable(log.written + 3, lambda error: beaten.set())
        async with asyncio.timeout(30):
            await beaten.wait()
        await log.stop("test")

    log = open_log()
    asyncio.run(run(log))
    assert kinds(log)[1:4] == ["log.heartbeat"] * 3


def test_after_a_failure_everyone_hears_and_nothing_is_taken(open_log: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails is final: waiters, listeners, append and sync all say so."""

    async def run(log: Log) -> list[Any]:
        log.start()
        await log.sync()
        heard: list[Any] = []
        log.on_failure(heard.append)

        def broken(*_: object) -> int:
            raise OSError(28, "no space left")

        with monkeypatch.context() as patch:
            patch.setattr("tidegate.audit.wal.os.pwritev", broken)
            log.when_durable(log.written + 1, heard.append)
            with pytest.raises(LogFailure, match="no space left"):
                log.append("log.heartbeat")
        for attempt in (lambda: log.append("log.heartbeat"), lambda: log.append_chunk(b"x", bytes(32))):
            with pytest.raises(LogFailure):
                attempt()
        with pytest.raises(LogFailure):
            await log.sync()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await log.stop("test")
        return heard

    log = open_log()
    heard = asyncio.run(run(log))
    assert len(heard) == 2 and all(isinstance(error, LogFailure) for error in heard) and log.failed
    open_log().close()


def test_room_is_a_share(open_log: Opener) -> None:
    """Free space is between nothing and everything."""
    log = open_log()
    assert 0 < log.room() < 1
    log.close()


def test_what_leaves_waits_for_the_turn_s_write(open_log: Opener) -> None:
    """Steps that several hands staged happen in order, once all that was staged before them is in the kernel."""
    seen: list[tuple[bytes, int]] = []

    async def run(log: Log) -> None:
        log.start()
        await log.sync()
        before = log.written
        for word in (b"one", b"two"):
            log.stage("log.heartbeat")
            log.after_write(lambda data: seen.append((data, log.written)), word)
        assert seen == [] and log.written == before
        await asyncio.sleep(0.01)
        assert seen == [(b"one", before + 2), (b"two", before + 2)]
        await log.stop("test")

    asyncio.run(run(open_log()))


def test_nothing_leaves_after_a_write_that_failed(open_log: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes whose evidence did not reach the kernel stay here for ever."""
    seen: list[bytes] = []

    async def run(log: Log) -> None:
        log.start()
        await log.sync()
        with monkeypatch.context() as patch:
            patch.setattr("tidegate.audit.wal.os.pwritev", lambda *_: 0)
            log.stage("log.heartbeat")
            log.after_write(seen.append, b"secret")
            await asyncio.sleep(0.01)
        with pytest.raises(LogFailure):
            log.flush()
        await log.stop("test")

    asyncio.run(run(open_log()))
    assert seen == []


def test_a_slow_disk_does_not_stop_the_loop(open_log: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncs are made on the loop while they are quick; after a slow one a thread makes them, until they are again."""
    threads: list[str] = []
    slow, real = [0.0], os.fdatasync

    def sync(handle: int) -> None:
        threads.append(threading.current_thread().name)
        time.sleep(slow[0])
        real(handle)

    async def commits(log: Log, count: int) -> set[str]:
        threads.clear()
        for _ in range(count):
            log.append("log.heartbeat")
            await log.sync()
        return set(threads)

    async def run(log: Log) -> None:
        log.start()
        monkeypatch.setattr("tidegate.audit.writer.QUICK", 10.0)
        await commits(log, TRUST + 1)
        assert await commits(log, 5) == {"MainThread"}
        monkeypatch.setattr("tidegate.audit.writer.QUICK", 0.02)
        slow[0] = 0.03
        await commits(log, 1)
        assert await commits(log, 3) == {"tidegate-log"}
        slow[0] = 0.0
        monkeypatch.setattr("tidegate.audit.writer.QUICK", 10.0)
        await commits(log, TRUST)
        assert await commits(log, 3) == {"MainThread"}
        await log.stop("test")

    monkeypatch.setattr(os, "fdatasync", sync)
    asyncio.run(run(open_log()))


def test_a_sync_that_failed_is_not_repeated(open_log: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports a failed sync once and forgets; whoever asked again, on any thread, would be told a lie."""
    real, failing, calls = os.fdatasync, [False], [0]

    def sync(handle: int) -> None:
        calls[0] += failing[0]
        if calls[0] == 1:
            raise OSError(5, "input/output error")
        real(handle)

    async def run(log: Log) -> None:
        log.start()
        for _ in range(TRUST + 1):
            log.append("log.heartbeat")
            await log.sync()
        failing[0], durable = True, log.durable
        log.append("log.heartbeat")
        with pytest.raises(LogFailure, match="input/output"):
            await log.sync()
        await log.stop("test")
        assert calls == [1] and log.durable == durable < log.written
        assert open_checkpoint(log.checkpoint(), Verifier.parse(log.vkey)).size < log.size

    monkeypatch.setattr("tidegate.audit.writer.QUICK", 10.0)
    monkeypatch.setattr(os, "fdatasync", sync)
    asyncio.run(run(open_log()))


def test_nothing_is_sealed_after_carrying_failed(
    open_log: Opener, monkeypatch: pytest.MonkeyPatch, auditor: pyrage.x25519.Identity
) -> None:
    """What did not reach its final place stays in the write-ahead log, so that the next start finds it."""
    real = os.write

    def broken(handle: int, data: bytes) -> int:
        if threading.current_thread() is threading.main_thread():
            raise OSError(28, "no space left")
        return real(handle, data)

    async def run(log: Log) -> None:
        log.start()
        await asyncio.sleep(0.1)  # the first checkpoint
        monkeypatch.setattr(os, "write", broken)
        with pytest.raises(LogFailure, match="no space left"):  # whichever hears of it first
            log.append("auth.fail", private={"net": b"192.0.2.1"})
            for _ in range(2000):
                log.append("log.heartbeat")
            await log.settled()
        monkeypatch.setattr(os, "write", real)
        await log.stop("test")

    log = open_log()
    boot, at = uuid.UUID(leaf(log, 0)["b"]), log.size
    asyncio.run(run(log))
    again = open_log()
    again.close()
    assert open_vault(log.directory, boot, str(auditor)).opening(at, "net")[1] == b"192.0.2.1"


def test_an_opening_and_its_leaf_lie_in_one_segment(open_log: Opener, auditor: pyrage.x25519.Identity) -> None:
    """Recovery writes the sealed store again from the first leaf it finds: that leaf's openings must be with it."""
    large = os.urandom(STAGED + 1)

    async def run(log: Log) -> int:
        log.start()
        index = log.append("auth.fail", private={"net": large})
        log.append("auth.fail", private={"net": b"192.0.2.1"})
        await log.stop("test")
        return index

    log = open_log()
    boot = uuid.UUID(leaf(log, 0)["b"])
    index = asyncio.run(run(log))
    open_log().close()
    assert open_vault(log.directory, boot, str(auditor)).opening(index, "net")[1] == large
