"""The API's connections: one that asks nothing, or too slowly, is closed.

The server counts connections, not requests, against its limit. Without this, peers that connect and say nothing could
keep everybody from approving, revoking and ending sessions. The time for a body is limited by the guard.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from .guard import PATIENCE


class Patient(H11Protocol):
    """HTTP/1.1 in which at least every ``PATIENCE`` seconds a request's head is complete, or one is being answered."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._answered: RequestResponseCycle | None = None
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is self._answered and (cycle is None or cycle.response_complete):
            self.transport.abort()
            return
        self._answered = cycle
        self._wait()
