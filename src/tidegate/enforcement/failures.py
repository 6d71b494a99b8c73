"""Failed authentications become leaves, at a bounded rate: a flood must not fill the log, nor go uncounted."""

from __future__ import annotations

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import LogFailure

PER_SECOND = 20


class Failures:
    """Event loop only."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._second = 0
        self._written = 0
        self._uncounted = 0

    def __call__(self, code: str, peer: str) -> None:
        """One failed attempt: its own leaf, or a number in the next one."""
        second = self._clock.monotonic() // 1_000_000
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= PER_SECOND or self._log.failed is not None:
            self._uncounted += 1
            return
        self._written += 1
        skipped, self._uncounted = self._uncounted, 0
        try:
            self._log.append("auth.fail", {"code": code, "more": skipped}, private={"net": peer.encode()})
        except LogFailure:
            self._uncounted += 1 + skipped
