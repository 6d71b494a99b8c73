"""What waits for one channel, and which of it is sent next.

What is told about one thing is told in order; of different things, the one that is due first goes first, so that a
message nobody takes does not keep others back. A channel that fails rests, longer each time. Pure but for the jitter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tidegate.model.notice import Letter

MOST = 1000
"""Letters that wait for one channel."""

SHORTEST, LONGEST = 1.0, 3600.0
"""Seconds between two attempts, at first and at most."""

_chance = random.SystemRandom()


class Line:
    """The letters of one channel in the order in which they were made; times in Unix microseconds."""

    def __init__(self) -> None:
        self._waiting: dict[str, Letter] = {}
        self._urgent: set[str] = set()
        self._rests = 0
        self._failures = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, letter: Letter, *, urgent: bool) -> None:
        """One more, or one in another state."""
        self._waiting[letter.id] = letter
        if urgent:
            self._urgent.add(letter.id)

    def remove(self, id: str) -> None:
        """One that waits no more."""
        self._waiting.pop(id, None)
        self._urgent.discard(id)

    def next(self, now: int) -> Letter | None:
        """What is to be sent now."""
        due = [letter for letter in self._heads() if letter.due <= now]
        return min(due, key=lambda letter: letter.due) if due and self._rests <= now else None

    def until(self, now: int) -> float | None:
        """Seconds until something is due; None when nothing waits."""
        moments = [letter.due for letter in self._heads()]
        return max(0.0, (max(min(moments), self._rests) - now) / 1e6) if moments else None

    def failed(self, now: int, after: float) -> int:
        """The channel has failed and wants ``after`` seconds of rest; gives the moment of the next attempt."""
        self._failures += 1
        longest: float = min(LONGEST, SHORTEST * 2 ** min(self._failures - 1, 20))
        pause = max(min(after, LONGEST), longest * _chance.uniform(0.5, 1.0))
        self._rests = now + int(pause * 1e6)
        return self._rests

    def wake(self) -> None:
        """Rest no longer: it works, or somebody says so."""
        self._failures = self._rests = 0

    def surplus(self) -> Letter | None:
        """The one to give up when there are too many: the oldest that is not urgent, or the oldest."""
        if len(self._waiting) <= MOST:
            return None
        return next((each for each in self._waiting.values() if each.id not in self._urgent), self._oldest())

    def _oldest(self) -> Letter:
        return next(iter(self._waiting.values()))

    def _heads(self) -> Iterator[Letter]:
        seen: set[str] = set()
        for letter in self._waiting.values():
            if letter.about not in seen:
                seen.add(letter.about)
                yield letter
