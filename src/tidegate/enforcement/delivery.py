"""The road to the agent: no byte of a result is delivered before the intents it answers are durable.

What comes too early is kept back, in order, until the group commit that covers what was ``gate`` then lets it go, also
while an agent goes on asking; when too much is kept, the upstream is no longer read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tidegate.audit.log import Log
from tidegate.errors import LogFailure

from .stream import Stream

KEPT_BACK = 1024 * 1024
"""Bytes of results that may wait for a group commit before the upstream is no longer read."""


class Delivery:
    """``gate`` is the record that must be durable before anything further is delivered."""

    def __init__(self, agent: Stream, resource: Stream, log: Log, failed: Callable[[LogFailure], None]) -> None:
        self._agent = agent
        self._resource = resource
        self._log = log
        self._failed = failed
        self._kept: deque[tuple[int, bytes]] = deque()
        self._size = 0
        self.gate = 0

    @property
    def full(self) -> bool:
        """Whether so much is kept back that the upstream must wait."""
        return self._size > KEPT_BACK

    def deliver(self, data: bytes) -> None:
        """Give ``data`` to the agent, now or when its evidence is durable."""
        if not data:
            return
        if not self._kept and self._log.durable >= self.gate:
            self._log.after_write(self._agent.write, data)
            return
        if not self._kept:
            self._log.when_durable(self.gate, self._release)
        self._kept.append((self.gate, data))
        self._size += len(data)
        if self.full:
            self._resource.pause()

    async def finish(self) -> None:
        """What was kept back goes out if its evidence becomes durable, else never."""
        kept = b"".join([data for _, data in self._kept])
        self._kept.clear()
        if kept:
            try:
                await self._log.sync()
            except LogFailure:
                return
            self._agent.write(kept)

    def _release(self, failure: LogFailure | None) -> None:
        if not self._kept:
            return
        if failure is not None:
            self._kept.clear()
            self._failed(failure)
            return
        ripe: list[bytes] = []
        while self._kept and self._kept[0][0] <= self._log.durable:
            ripe.append(self._kept.popleft()[1])
        data = b"".join(ripe)
        self._log.after_write(self._agent.write, data)
        self._size -= len(data)
        if self._kept:
            self._log.when_durable(self._kept[0][0], self._release)
        if not self.full and not self._agent.congested:
            self._resource.resume()
