"""Who is logged in with a browser: a cookie that says nothing, and what it stands for in this process's memory.

The cookie is 256 random bits, kept here by its hash only, and new at each login, so none can be planted beforehand.
What it stands for is a login like any other: a token for an audience of its own, in the log and the store, revocable at
once. That token never leaves the gateway. A visit ends when it has been idle for long, when its token ends, and at a
restart. Event loop only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from tidegate.clock import Clock
from tidegate.enforcement.access import Minted

LIFE = 12 * 3600
IDLE = 2 * 3600
"""Seconds that a visit lasts at most, and without being used."""

MOST, MOST_OF_ONE = 10_000, 20
"""Visits at a time, in all and of one person; the one that was used longest ago goes first."""

COOKIE_LIMIT = 64


@dataclass(slots=True)
class Visit:
    """One browser's login: ``key`` is its cookie's hash, ``seen`` its last use (monotonic microseconds)."""

    key: str
    subject: str
    token: str = field(repr=False)
    seen: int


class Visits:
    """All browsers that are logged in."""

    def __init__(self, clock: Clock, idle: int = IDLE) -> None:
        self._clock = clock
        self._idle = idle * 1_000_000
        self._visits: OrderedDict[str, Visit] = OrderedDict()

    def begin(self, minted: Minted) -> str:
        """A fresh cookie for a login."""
        cookie, subject = secrets.token_urlsafe(32), minted.identity.person.subject
        own = [key for key, each in self._visits.items() if each.subject == subject]
        for key in own[: max(0, len(own) - MOST_OF_ONE + 1)]:
            del self._visits[key]
        if len(self._visits) >= MOST:
            self._visits.popitem(last=False)
        self._visits[kept(cookie)] = Visit(kept(cookie), subject, minted.token, self._clock.monotonic())
        return cookie

    def find(self, cookie: str, *, using: bool = True) -> Visit | None:
        """What a cookie stands for; None when it stands for nothing, or no more. ``using`` puts off its idle end."""
        return self.named(kept(cookie), using=using) if 0 < len(cookie) <= COOKIE_LIMIT else None

    def named(self, key: str, *, using: bool = True) -> Visit | None:
        """As ``find``, by the hash of the cookie."""
        found = self._visits.get(key)
        if found is None:
            return None
        now = self._clock.monotonic()
        if now - found.seen > self._idle:
            self.end(found)
            return None
        if using:
            found.seen = now
            self._visits.move_to_end(found.key)
        return found

    def end(self, visit: Visit) -> None:
        """The cookie stands for nothing from now on."""
        self._visits.pop(visit.key, None)


def kept(cookie: str) -> str:
    """What is kept of a cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest()
