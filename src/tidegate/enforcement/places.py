"""Places for sessions: how many may be open at a time, counted before one opens."""

from __future__ import annotations

from typing import Protocol

from tidegate.errors import Refused


class Doorkeeper(Protocol):
    """Who gives out the places: this process, or the supervisor for all workers together."""

    async def take(self, sid: str) -> None:
        """A place for a session that is about to open. Raises Refused ``gateway.full``."""

    def free(self, sid: str) -> None:
        """Its place is free again; once is enough, twice does no harm."""


class Places:
    """``limit`` places; each is taken by a session, in the hands of a worker (0 where there are none)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken: dict[str, int] = {}

    async def take(self, sid: str, worker: int = 0) -> None:
        """A place for a session. Raises Refused ``gateway.full``."""
        if len(self._taken) >= self._limit:
            raise Refused("the gateway has no room for another session", hint="Try later.", code="gateway.full")
        self._taken[sid] = worker

    def free(self, sid: str) -> None:
        """Its place is free again."""
        self._taken.pop(sid, None)

    def left(self, worker: int) -> int:
        """A worker is gone: all its places are free again. Gives their number."""
        before = len(self._taken)
        self._taken = {sid: holder for sid, holder in self._taken.items() if holder != worker}
        return before - len(self._taken)
