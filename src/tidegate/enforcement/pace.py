"""How often somebody may do what costs the disk something: so many at once, then so many a minute, counted by name.

Only those who have proven who they are are counted, each by themselves, so nobody can use up another's share. The table
has a limit and forgets whoever was seen longest ago. Event loop only.
"""

from __future__ import annotations

from collections import OrderedDict

from tidegate.clock import Clock
from tidegate.errors import AgentError

TABLE = 10_000
"""Most names that are counted at a time."""

_MINUTE = 60_000_000


class Pace:
    """``burst`` at once, ``rate`` a minute."""

    def __init__(self, clock: Clock, *, burst: int, rate: int) -> None:
        self._clock = clock
        self._burst = burst
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, name: str) -> None:
        """One more. Raises AgentError ``exchange.slowed`` when it is too much."""
        now = self._clock.monotonic()
        left, seen = self._left.pop(name, (float(self._burst), now))
        left = min(self._burst, left + (now - seen) * self._rate / _MINUTE)
        self._left[name] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > TABLE:
            self._left.popitem(last=False)
        if left < 1:
            raise AgentError(
                "tokens are asked for too often",
                hint=f"{self._rate} a minute are enough: a token may be used many times while it lives.",
                code="exchange.slowed",
            )
