"""The disk says no: nothing is acknowledged afterwards, and the log is whole when it comes back."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.audit.verify import verify
from tidegate.clock import SystemClock
from tidegate.errors import LogFailure

RECIPIENTS = Recipients((), (str(pyrage.x25519.Identity.generate().to_public()),))


def open_log(directory: Path, segment: int = 2**16) -> Log:
    return Log.open(
        directory,
        organisation="example.org",
        gateway="gw1",
        clock=SystemClock(),
        recipients=RECIPIENTS,
        segment=segment,
    )


async def write_until_failure(log: Log, size: int = 10) -> tuple[int, int, list[LogFailure]]:
    """Append and sync until it fails; gives the last index acknowledged, the last appended, and who heard of it."""
    heard: list[LogFailure] = []
    log.on_failure(heard.append)
    log.start()
    acknowledged = index = 0
    try:
        for _ in range(5000):
            index = log.append("config.changed", {"x": "y" * size})
            await log.sync()
            acknowledged = index
    except LogFailure:
        pass
    for attempt in (log.sync(), log.sync()):
        with pytest.raises(LogFailure):
            await attempt
    with pytest.raises(LogFailure):
        log.append("log.heartbeat")
    await log.stop("test")
    return acknowledged, index, heard


@pytest.mark.parametrize("nth", [1, 2, 3, 7, 20])
def test_nothing_is_acknowledged_after_a_failed_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """The Nth fdatasync fails: its records are never acknowledged, later ones are not taken, and it is not retried."""
    log, calls, real = open_log(tmp_path), [0], os.fdatasync

    def failing(handle: int) -> None:
        calls[0] += 1
        if calls[0] == nth:
            raise OSError(errno.EIO, "input/output error")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        acknowledged, last, heard = asyncio.run(write_until_failure(log))
    assert acknowledged < last and calls[0] == nth and len(heard) == 1
    again = open_log(tmp_path)
    assert again.size > acknowledged
    again.close()
    assert verify(tmp_path).status == 0


def test_a_full_disk_stops_the_log_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no space for another segment the log goes on to the end of this one, then fails for good."""
    log, real = open_log(tmp_path), os.open

    def full(path: Path, *how: int) -> int:
        if Path(path).name == "spare":
            raise OSError(errno.ENOSPC, "no space left on device")
        return real(path, *how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        acknowledged, last, heard = asyncio.run(write_until_failure(log, size=1000))
    assert acknowledged == last - 1 or acknowledged == last
    assert acknowledged > 45 and "no space left" in heard[0].message
    again = open_log(tmp_path)
    assert again.size > acknowledged
    again.close()
    assert verify(tmp_path).status == 0


@pytest.fixture
def file_size_limit() -> Callable[[int], None]:
    """Sets the largest file this process may write; undone afterwards."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit  # type: ignore[misc]
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_the_kernel_refuses_is_final(tmp_path: Path, file_size_limit: Callable[[int], None]) -> None:
    """A real refusal by the kernel, in the middle of a segment or of a file elsewhere: fail closed, then recover."""
    log = open_log(tmp_path, segment=2**18)
    file_size_limit(2**17)
    acknowledged, _, heard = asyncio.run(write_until_failure(log, size=500))
    file_size_limit(resource.RLIM_INFINITY)
    assert heard
    again = open_log(tmp_path)
    assert again.size > acknowledged > 50
    again.close()
    assert verify(tmp_path).status == 0


def test_an_open_that_cannot_write_is_a_log_failure(tmp_path: Path, file_size_limit: Callable[[int], None]) -> None:
    """Failing to begin is failing, and leaves the lock to the next attempt."""
    file_size_limit(100)
    with pytest.raises(LogFailure, match="cannot be written"):
        open_log(tmp_path)
    file_size_limit(resource.RLIM_INFINITY)
    open_log(tmp_path).close()
