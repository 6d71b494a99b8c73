"""Who waits for the group commit, and who must hear when the log fails.

News comes from the writer's thread and is passed on to the event loop; before there is a loop it takes effect at once.
Invariants: ``durable`` grows only; ``failed`` is set once; nobody is told success after the failure was announced.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable

from tidegate.errors import LogFailure

Waiter = Callable[[LogFailure | None], None]


def again(error: LogFailure) -> LogFailure:
    """The same failure as a fresh exception, so that tracebacks do not pile up on one object."""
    return LogFailure(error.message, hint=error.hint, code=error.code)


class Waiters:
    """Callbacks by sequence number; called on the loop, each in a step of its own."""

    def __init__(self) -> None:
        self.durable = 0
        self.failed: LogFailure | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, Waiter]] = []
        self._listeners: list[Callable[[LogFailure], None]] = []

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def when_durable(self, written: int, callback: Waiter) -> None:
        """Call ``callback`` when record ``written`` is durable, or with the failure; now if that is known."""
        if self.failed is not None:
            callback(self.failed)
        elif written <= self.durable:
            callback(None)
        else:
            heapq.heappush(self._waiting, (written, next(self._order), callback))

    def on_failure(self, callback: Callable[[LogFailure], None]) -> None:
        """Call ``callback`` when the log fails."""
        self._listeners.append(callback)

    def succeed(self, number: int) -> None:
        """From any thread: everything up to ``number`` is durable."""
        if self.loop is None:
            self.durable = number
        else:
            self.loop.call_soon_threadsafe(self.release, number)

    def fail(self, error: LogFailure) -> None:
        """From any thread: the log is finished."""
        if self.failed is None:
            self.failed = error
            if self.loop is not None:
                with contextlib.suppress(RuntimeError):  # a loop that is closed has nobody waiting
                    self.loop.call_soon_threadsafe(self._announce, error)

    def release(self, number: int) -> None:
        """On the loop: everything up to ``number`` is durable."""
        self.durable = max(self.durable, number)
        while self._waiting and self._waiting[0][0] <= number:
            self._later(heapq.heappop(self._waiting)[2], None)

    def _announce(self, error: LogFailure) -> None:
        waiting, self._waiting = self._waiting, []
        for _, _, callback in sorted(waiting):
            self._later(callback, error)
        for listener in self._listeners:
            self._later(listener, error)

    def _later(self, callback: Callable[[LogFailure], None] | Waiter, error: LogFailure | None) -> None:
        """Its own step on the loop: what one callback raises must not keep the others waiting."""
        if self.loop is not None:
            self.loop.call_soon(callback, error)  # type: ignore[arg-type]
