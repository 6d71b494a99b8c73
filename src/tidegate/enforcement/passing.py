"""What is kept in memory for a few minutes and taken once: challenges, tickets, half-made credentials.

Each belongs to a person (their subject) and is found by nobody else. A person has room for so many, and all together
have; the oldest go first. A restart forgets them all.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from tidegate.clock import Clock

LIFE = 300
"""Seconds."""

EACH, ALL = 16, 4096
"""Most for one person, and for all."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    owner: str
    value: T
    until: int


class Passing(Generic[T]):
    """Event loop only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()

    def put(self, owner: str, value: T) -> str:
        """Keep ``value`` for ``owner``; gives its unguessable name."""
        own = [id for id, kept in self._kept.items() if kept.owner == owner]
        for id in own[: max(0, len(own) - EACH + 1)]:
            del self._kept[id]
        if len(self._kept) >= ALL:
            self._kept.popitem(last=False)
        id = secrets.token_urlsafe(24)
        self._kept[id] = _Kept(owner, value, self._clock.monotonic() + LIFE * 1_000_000)
        return id

    def find(self, owner: str, id: str) -> T | None:
        """What ``owner`` keeps under ``id``, if it is still there."""
        kept = self._kept.get(id)
        if kept is None or kept.owner != owner:
            return None
        if kept.until <= self._clock.monotonic():
            del self._kept[id]
            return None
        return kept.value

    def take(self, owner: str, id: str) -> T | None:
        """As ``find``, and from now on it is gone."""
        value = self.find(owner, id)
        if value is not None:
            del self._kept[id]
        return value
