"""Group commit: one thread that makes records durable, then settles them.

There is no window: whatever was written while one sync ran is covered by the next. Invariant: ``on_durable`` is called
only after the sync that covers the number returned, and never again after ``on_failure``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tidegate.errors import LogFailure

from .settle import Settler
from .wal import Wal


def failure(error: Exception) -> LogFailure:
    """Why the log stopped."""
    return LogFailure(
        f"The audit log cannot be written: {error}",
        hint="Nothing is forwarded any more. Look at the disk of the data directory, then restart the gateway.",
    )


class Writer(threading.Thread):
    """Commits what ``wal`` was given; the two callbacks are called on this thread."""

    def __init__(
        self,
        wal: Wal,
        settler: Settler,
        on_durable: Callable[[int], None],
        on_failure: Callable[[LogFailure], None],
    ) -> None:
        super().__init__(name="tidegate-log", daemon=True)
        self._wal = wal
        self._settler = settler
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._wake = threading.Event()
        self._durable = 0
        self._sealing = False
        self._stopping = False

    def dirty(self) -> None:
        """Something was written."""
        self._wake.set()

    def seal(self) -> None:
        """Ask for a checkpoint over everything written so far."""
        self._sealing = True
        self._wake.set()

    def finish(self) -> None:
        """Ask the thread to end, after one more turn that commits and seals everything."""
        self._stopping = True
        self.seal()

    def turn(self) -> None:
        """Commit, settle, and seal when asked to. Raises OSError, after which the log is finished."""
        sealing, self._sealing = self._sealing, False
        target = self._wal.written
        if target > self._durable:
            self._wal.sync(target)
            self._durable = target
            self._on_durable(target)
        self._settler.settle(target)
        if sealing:
            self._settler.seal(self._wal)
        self._wal.prepare()

    def run(self) -> None:
        """Take turns until asked to finish or until one fails."""
        stopping = False
        while not stopping:
            self._wake.wait()
            self._wake.clear()
            stopping = self._stopping
            try:
                self.turn()
            except Exception as error:  # a thread has no caller: whatever it is, the log is finished and says so
                self._on_failure(failure(error))
                return
