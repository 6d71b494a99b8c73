"""What somebody asked for that needs a proof first: kept while they prove it is them, then done once.

It is kept under the challenge that they answer and for the login that asked, for as long as a challenge lives; nothing
of it is in the browser. Bounded, event loop only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tidegate.clock import Clock
from tidegate.enforcement.access import Caller

LIFE = 300
MOST = 1000
MOST_OF_ONE = 5
"""Seconds that something waits; how much waits in all, and of one login."""

Deed = Callable[[Caller, Mapping[str, str]], Awaitable[object]]
"""Does what was asked for, as whoever asks is by then, given the proof."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A deed of the login ``visit``, after which the browser goes on to ``next``."""

    visit: str
    deed: Deed
    next: str
    ends: int


class Pending:
    """Deeds that wait for a proof."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def put(self, challenge: str, visit: str, deed: Deed, next: str) -> None:
        """Keep a deed; of one login, and in all, the oldest give way."""
        now = self._clock.monotonic()
        while self._waiting and _ends_first(self._waiting) <= now:
            self._waiting.popitem(last=False)
        own = [id for id, each in self._waiting.items() if each.visit == visit]
        for id in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._waiting[id]
        if len(self._waiting) >= MOST:
            self._waiting.popitem(last=False)
        self._waiting[challenge] = Waiting(visit, deed, next, now + LIFE * 1_000_000)

    def take(self, challenge: str, visit: str) -> Waiting | None:
        """The deed that waits for this challenge of this login; nobody gets it again."""
        found = self._waiting.get(challenge)
        if found is None or found.visit != visit:
            return None
        del self._waiting[challenge]
        return found if found.ends > self._clock.monotonic() else None


def _ends_first(waiting: OrderedDict[str, Waiting]) -> int:
    """When the oldest is over."""
    return next(iter(waiting.values())).ends
