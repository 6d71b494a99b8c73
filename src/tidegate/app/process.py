"""One process of a gateway: open, serve until told to stop, close.

Start in order: log, store, policy, listeners. Stop in reverse: accept nobody, end the sessions, seal the log. What
differs between a gateway of one process, a supervisor and a worker is what each serves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from tidegate.clock import Clock, SystemClock
from tidegate.enforcement.mandate import Mandate
from tidegate.errors import ConfigError, LogFailure
from tidegate.masking.detectors import KNOWN
from tidegate.masking.tags import covers
from tidegate.policy.rules import load_bundle
from tidegate.protocols.registry import PROTOCOLS
from tidegate.settings import Settings

from .office import Office
from .parts import Parts, open_parts
from .road import Road

logger = structlog.get_logger("tidegate")

EXIT_LOG_FAILED = 75


class Process:
    """Built from settings; nothing listens before ``run``."""

    worker = 0

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        _known_protocols(settings)
        self.bundle = load_bundle(settings.policy.files)
        self.status = 0
        self.parts: Parts
        self.road: Road
        self._stopping: asyncio.Event

    async def run(self, ready: Callable[[], None]) -> int:
        """Serve until ``stop``; gives the exit status. Raises ConfigError, IntegrityError before anything listens."""
        self._stopping = asyncio.Event()
        self.parts = await asyncio.to_thread(open_parts, self.settings, self.clock, self.bundle, self.worker)
        log = self.parts.log
        self.assemble()
        log.start()
        log.on_failure(self._log_failed)
        try:
            self.parts.started()
            await log.sync()
            await self.serve(ready)
        finally:
            with contextlib.suppress(LogFailure):
                await log.stop("stopped" if not self.status else "failed")
            self.parts.store.close()
        return self.status

    def assemble(self) -> None:
        """Put together what lives on the loop."""
        raise NotImplementedError

    async def serve(self, ready: Callable[[], None]) -> None:
        """Do the work, call ``ready`` when it can be used, return when stopped and everything has ended."""
        raise NotImplementedError

    async def stopped(self) -> None:
        """Wait until somebody calls ``stop``."""
        await self._stopping.wait()

    async def unlocked(self, mandate: Mandate, office: Office, tasks: asyncio.TaskGroup) -> bool:
        """Whether agents may be served. While nobody has approved the configuration only the API is, for that.

        False when the process is stopped meanwhile.
        """
        if not mandate.unlocked.is_set():
            await office.open(tasks)
            logger.critical("gateway.locked", hint="Nobody has approved this configuration: no agent is served.")
        waiting = [asyncio.ensure_future(mandate.unlocked.wait()), asyncio.ensure_future(self.stopped())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        return not self._stopping.is_set()

    def stop(self, status: int = 0) -> None:
        """End from anywhere on the loop."""
        self.status = self.status or status
        self._stopping.set()

    def _log_failed(self, failure: LogFailure) -> None:
        logger.critical("log.failed", cause=failure.message)
        self.road.sessions.end_all("log_failed", "the audit log cannot be written, so nothing is executed")
        self.stop(EXIT_LOG_FAILED)


def _known_protocols(settings: Settings) -> None:
    for name in [*settings.listen, *(resource.protocol for resource in settings.resources.values())]:
        if name not in PROTOCOLS:
            raise ConfigError(
                f"unknown protocol {name!r}", path=str(settings.path), hint=f"Known: {', '.join(sorted(PROTOCOLS))}."
            )
    for resource in settings.resources.values():
        PROTOCOLS[resource.protocol].options(resource)
        for wanted in resource.detect:
            if not any(covers(wanted, tag) for tag in KNOWN):
                raise ConfigError(
                    f"resource {resource.name}: nothing is detected under {wanted!r}",
                    path=str(settings.path),
                    hint=f"Known: pii, secret, {', '.join(KNOWN)}.",
                    code="config.detect",
                )
