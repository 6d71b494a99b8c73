"""A provider's discovery document, kept as its keys are: fetched by one for all, and not in vain again and again.

While a provider is away, whoever asks is told so at once for ``PAUSE`` seconds, so that people who wait for it do not
take the places of others; a document that is known serves until it is ``STALE``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from tidegate.clock import Clock
from tidegate.errors import ConfigError, ResourceError

from .fetch import Fetch
from .keysets import FRESH, PAUSE, STALE, discover, endpoint


class Discovery:
    """The document of ``issuer``; for one event loop."""

    def __init__(self, fetch: Fetch, issuer: str, clock: Clock) -> None:
        self._fetch = fetch
        self._issuer = issuer
        self._clock = clock
        self._document: Mapping[str, Any] = {}
        self._fetched = self._tried = -math.inf
        self._failure: ResourceError | ConfigError | None = None
        self._fetching = asyncio.Lock()

    async def document(self) -> Mapping[str, Any]:
        """What it says. Raises ResourceError ``provider.*``, ConfigError."""
        if self._age(self._fetched) >= FRESH:
            async with self._fetching:
                if self._age(self._fetched) >= FRESH and self._age(self._tried) >= PAUSE:
                    await self._try()
        if self._age(self._fetched) >= STALE and self._failure is not None:
            raise self._failure.with_traceback(None)
        return self._document

    async def address(self, name: str) -> str:
        """An endpoint in it. Raises as ``document`` does."""
        return endpoint(await self.document(), name, self._issuer)

    async def _try(self) -> None:
        self._tried = self._clock.monotonic()
        try:
            self._document = await discover(self._fetch, self._issuer)
            self._fetched, self._failure = self._clock.monotonic(), None
        except (ResourceError, ConfigError) as error:
            self._failure = error

    def _age(self, moment: float) -> float:
        return (self._clock.monotonic() - moment) / 1_000_000
