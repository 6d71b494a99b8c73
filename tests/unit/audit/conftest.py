"""Logs in temporary directories, with real keys and the machine's clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import SystemClock
from tidegate.recording.shelf import Shelf
from tidegate.recording.writer import Recorder

Opener = Callable[..., Log]


@pytest.fixture(scope="session")
def auditor() -> pyrage.x25519.Identity:
    """Someone who may open everything."""
    return pyrage.x25519.Identity.generate()


@pytest.fixture(scope="session")
def replay() -> pyrage.x25519.Identity:
    """Someone who may open what agents saw."""
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def recipients(auditor: pyrage.x25519.Identity, replay: pyrage.x25519.Identity) -> Recipients:
    """The public halves."""
    return Recipients((str(replay.to_public()),), (str(auditor.to_public()),))


@pytest.fixture
def open_log(tmp_path: Path, recipients: Recipients) -> Opener:
    """Opens the log in ``tmp_path / "data"``, with small segments."""

    def opener(**changes: object) -> Log:
        settings: dict[str, object] = {
            "organisation": "example.org",
            "gateway": "gw1",
            "clock": SystemClock(),
            "recipients": recipients,
            "segment": 2**16,
        }
        directory = changes.pop("directory", tmp_path / "data")
        return Log.open(directory, **{**settings, **changes})  # type: ignore[arg-type]

    return opener


@pytest.fixture
def fill(open_log: Opener) -> Callable[[int], Path]:
    """A cleanly stopped log with a session of ``count`` statements; gives its data directory."""

    def filler(count: int) -> Path:
        async def story() -> Path:
            log = open_log()
            log.start()
            log.append("session.start", {"sid": "s1", "n": 1})
            for number in range(count):
                log.append("gateway.statement", {"sid": "s1", "n": number + 2}, private={"stmt": b"select"})
            log.append("session.end", {"sid": "s1", "n": count + 2, "total": count + 2, "reason": "farewell"})
            await log.stop("test")
            return log.directory

        return asyncio.run(story())

    return filler


@pytest.fixture
def recorded(open_log: Opener, tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """A recorded session in a log that then stops, or crashes; gives its files by track. Each call adds one."""

    async def story(crash: bool = False) -> dict[str, Path]:
        log = open_log(chunks=Shelf(tmp_path / "data"))
        log.start()
        sid = SystemClock().session_id()
        vault = log.vault(sid)
        keys = {track: vault.frame_key(track) for track in ("agent", "upstream")}
        recorder = Recorder(sid, header={"res": "shop"}, keys=keys, write=log.append_chunk, clock=SystemClock())
        log.append("session.start", {"sid": str(sid), "n": 1})
        for number in range(5):
            recorder.request(b"ask %d" % number, b"asked %d" % number)
            recorder.flush()
        log.flush()
        if crash:
            log._cancel_timers()
            log._writer.finish()
            log.close()
            return Shelf(tmp_path / "data").find(sid)
        seals = {name: {"frames": frames, "root": root} for name, (frames, root) in recorder.close("left").items()}
        log.append("session.end", {"sid": str(sid), "n": 2, "total": 2, "rec": seals})
        await log.stop("test")
        return Shelf(tmp_path / "data").find(sid)

    return lambda **how: asyncio.run(story(**how))
