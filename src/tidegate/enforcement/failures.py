"""Failed authentications, and that somebody guesses, become leaves.

At a bounded rate: a flood must not fill the log, nor go uncounted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import LogFailure
from tidegate.model.event import Json

PER_SECOND = 20

ALARM = 30
"""Failures from which on somebody's guessing is an alert."""


class Failures:
    """Event loop only."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._second = 0
        self._written = 0
        self._uncounted = 0
        self._alarm: Callable[[str, str, Mapping[str, str]], None] = lambda *_: None

    def listen(self, alarm: Callable[[str, str, Mapping[str, str]], None]) -> None:
        """From now on ``alarm`` hears of guessing: a code, a title, fields; it neither blocks nor raises."""
        self._alarm = alarm

    def __call__(self, code: str, peer: str) -> None:
        """One failed attempt: its own leaf, or a number in the next one."""
        self._write("auth.fail", {"code": code}, {"net": peer.encode()})

    def slowed(self, what: str, name: str, source: str, count: int) -> None:
        """Somebody guesses and waits for it: ``what`` is ``source`` or ``identity`` (``identity.throttle``)."""
        private = {"net": source.encode(), "who": name.encode()}
        self._write("auth.slowed", {"by": what, "count": count}, private)
        if count >= ALARM:
            self._write("alert.raised", {"code": "auth.guessing", "by": what, "count": count}, private)
            self._alarm("auth.guessing", "Somebody guesses secrets", {"counted by": what, "failures": str(count)})

    def _write(self, kind: str, fields: dict[str, Json], private: dict[str, bytes]) -> None:
        second = self._clock.monotonic() // 1_000_000
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= PER_SECOND or self._log.failed is not None:
            self._uncounted += 1
            return
        self._written += 1
        skipped, self._uncounted = self._uncounted, 0
        try:
            self._log.append(kind, {**fields, "more": skipped}, private=private)
        except LogFailure:
            self._uncounted += 1 + skipped
