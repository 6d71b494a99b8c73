"""Refresh tokens of logins that live, to ask a provider whether it still knows somebody: sealed, in memory, bounded.

They are gone when the process ends: then a login simply lives as long as it may.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from tidegate.clock import Clock

PLACES = 10_000
"""Most people whose token is kept; beyond it the one kept longest goes."""

_SIZE = 16 * 1024


class Sealer(Protocol):
    """Keeps a secret so that a look at the memory does not show it: ``tidegate.store.box.Box``."""

    def seal(self, value: bytes, about: str) -> bytes:
        """The sealed value."""

    def open(self, sealed: bytes, about: str) -> bytes:
        """What ``seal`` was given."""


class Refreshes:
    """The newest refresh token of each subject, for ``life`` seconds from their login."""

    def __init__(self, seal: Sealer, clock: Clock, life: int) -> None:
        self._seal = seal
        self._clock = clock
        self._life = life * 1_000_000
        self._kept: OrderedDict[str, tuple[int, bytes]] = OrderedDict()

    def keep(self, subject: str, token: object, *, renewed: bool = False) -> None:
        """Keep a login's token, or with ``renewed`` the one that follows it; nothing if the provider sent none."""
        if not isinstance(token, str) or not 0 < len(token) <= _SIZE:
            return
        ends = self._clock.monotonic() + self._life
        if renewed:
            if subject not in self._kept:
                return
            ends = self._kept[subject][0]
        self._kept[subject] = (ends, self._seal.seal(token.encode("utf-8", "replace"), f"refresh:{subject}"))
        self._kept.move_to_end(subject)
        while len(self._kept) > PLACES:
            self._kept.popitem(last=False)

    def token(self, subject: str) -> str | None:
        """Somebody's token, if their login lives."""
        ends, sealed = self._kept.get(subject, (0, b""))
        if ends <= self._clock.monotonic():
            self.forget(subject)
            return None
        return self._seal.open(sealed, f"refresh:{subject}").decode()

    def forget(self, subject: str) -> None:
        """Their login is over."""
        self._kept.pop(subject, None)

    def subjects(self) -> list[str]:
        """Whose tokens are kept."""
        return list(self._kept)
