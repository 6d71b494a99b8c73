"""Group commit and what follows it: records are made durable, and then carried to their final places.

While the disk is quick, a commit is a call on the event loop's own thread at the end of a turn: it covers all that the
turn wrote, the upstream works on what was forwarded meanwhile, and no thread is woken (docs/adr/0019). A disk that is
slow gets a thread of its own, the committer: whatever was written while one sync ran is covered by the next. Carrying
only hands bytes to the kernel, so the loop does that too, a little at a time; sealing waits for many files, so another
thread, the sealer, does that, and meanwhile nothing is carried. Invariants: ``on_durable`` is called only after the
sync that covers the number returned, and never again after ``on_failure``; what has failed on one thread is tried again
on none.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable

from tidegate.errors import LogFailure

from .settle import Settler
from .wal import Wal

QUICK = 0.004
"""Seconds a sync may take on the loop; one that takes longer sends the next ones to the committer."""

TRUST = 32
"""So many quick syncs in a row, and they are made on the loop."""

SLICE = 256
"""Records that are carried in one turn of the loop."""


def failure(error: Exception) -> LogFailure:
    """Why the log stopped."""
    return LogFailure(
        f"The audit log cannot be written: {error}",
        hint="Nothing is forwarded any more. Look at the disk of the data directory, then restart the gateway.",
    )


class Turns(threading.Thread):
    """A thread that takes a turn whenever it was asked to since the last began; the first failure is its end.

    Several threads may ask; what they ask for at once is one turn.
    """

    def __init__(self, name: str, turn: Callable[[], None], on_failure: Callable[[LogFailure], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._turn = turn
        self._on_failure = on_failure
        self._gate = threading.Lock()
        self._gate.acquire()
        self._idle = True
        self._last = False

    def ask(self) -> None:
        """Take a turn that begins after this."""
        if self._idle:
            self._idle = False
            with contextlib.suppress(RuntimeError):  # two threads asked at once
                self._gate.release()

    def finish(self) -> None:
        """Take one more turn and end."""
        self._last = True
        self.ask()

    def run(self) -> None:
        """Take turns until asked to finish or until one fails."""
        last = False
        while not last:
            self._gate.acquire()
            self._idle = True
            last = self._last
            try:
                self._turn()
            except Exception as error:  # a thread has no caller: whatever it is, the log is finished and says so
                self._on_failure(failure(error))
                return


class Writer:
    """Commits what ``wal`` was given, settles and seals it.

    ``durable`` and ``settled`` are how far that has come. ``on_durable`` is called by the committer, ``on_failure`` by
    any thread.
    """

    def __init__(
        self,
        wal: Wal,
        settler: Settler,
        on_durable: Callable[[int], None],
        on_failure: Callable[[LogFailure], None],
    ) -> None:
        self._wal = wal
        self._settler = settler
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._disk = threading.Lock()
        self._files = threading.Lock()
        self._quick = 0
        self._over = False
        self.durable = self.settled = 0
        self._sealing = self._seal_due = False
        self._committer = Turns("tidegate-log", self._commit, on_failure)
        self._sealer = Turns("tidegate-seal", self._seal_if_due, on_failure)

    def start(self) -> None:
        """From now on the threads do the work."""
        self._sealer.start()
        self._committer.start()

    def commit(self) -> bool:
        """Make durable what is written: before this gives True if the disk is quick, else by the committer."""
        if self._quick < TRUST or not self._disk.acquire(blocking=False):
            self._committer.ask()
            return False
        try:
            return self._commit_to_disk()
        except Exception as error:  # as in the committer: whatever it is, the log is finished and says so
            self._on_failure(failure(error))
            return False
        finally:
            self._disk.release()

    def carry(self) -> bool:
        """Settle some of what is durable; False if there is more to do at once. Loop only."""
        if not self._files.acquire(blocking=False):
            return True  # the sealer has them, and settles everything first
        try:
            done = self._settle(SLICE)
        except Exception as error:  # as in the threads: whatever it is, the log is finished and says so
            self._on_failure(failure(error))
            return True
        finally:
            self._files.release()
        if self._wal.short:
            self._sealer.ask()
        return done

    def dirty(self) -> None:
        """Something was written, and there is no loop yet."""
        self._committer.ask()

    def seal(self) -> None:
        """Ask for a checkpoint over everything written so far."""
        self._sealing = True
        self._committer.ask()

    def finish(self) -> None:
        """Ask the threads to end, after everything is committed and sealed; blocks until they have."""
        self._sealing = self._seal_due = True
        for thread in (self._committer, self._sealer):
            thread.finish()
            if thread.is_alive():
                thread.join()

    def turn(self) -> None:
        """Commit, settle, and seal when asked to, on the caller's thread. Raises OSError: the log is finished."""
        sealing, self._sealing = self._sealing, False
        self._sync()
        if sealing:
            self._seal()

    def _commit(self) -> None:
        sealing, self._sealing = self._sealing, False
        self._sync()
        if sealing:
            self._seal_due = True
            self._sealer.ask()

    def _sync(self) -> None:
        with self._disk:
            fresh = self._wal.written > self.durable and self._commit_to_disk()
        if fresh:  # told only now: whoever hears of it finds the disk free
            self._on_durable(self.durable)

    def _commit_to_disk(self) -> bool:
        """False once anything has failed: the kernel says only once that it has lost what was written."""
        if self._over:
            return False
        target, start = self._wal.written, time.monotonic()
        try:
            self._wal.sync(target)
        except Exception:
            self._over = True  # before the lock is let go
            raise
        self.durable = target
        self._quick = min(self._quick + 1, TRUST) if time.monotonic() - start < QUICK else 0
        return True

    def _settle(self, most: int) -> bool:
        """Settle what is durable; whether that is done. Nothing once anything has failed: records may be missing."""
        if self._over:
            return True
        target = self.durable
        try:
            done = self._settler.settle(target, most)
        except Exception:
            self._over = True
            raise
        if done:
            self.settled = target
        return done

    def _seal_if_due(self) -> None:
        self._wal.prepare()
        if self._seal_due:
            self._seal_due = False
            self._seal()

    def _seal(self) -> None:
        """Settle what is durable, and publish a checkpoint over it."""
        with self._files:
            self._settle(sys.maxsize)
            if not self._over:
                self._settler.seal(self._wal)
