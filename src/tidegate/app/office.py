"""The administrative side of a gateway: the API, and what it reaches."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping

import structlog
import uvicorn

from tidegate.audit.library import Library
from tidegate.enforcement.access import Access
from tidegate.enforcement.accounts import restore
from tidegate.enforcement.custody import Custody
from tidegate.enforcement.enrolment import Enrolment
from tidegate.enforcement.kill import Halt
from tidegate.enforcement.links import Links
from tidegate.enforcement.mandate import Mandate
from tidegate.enforcement.register import Questions
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import LiveSessions
from tidegate.errors import ConfigError
from tidegate.model.event import Json
from tidegate.model.resource import Address
from tidegate.notify.outbox import Outbox
from tidegate.settings import loopback
from tidegate.store.secrets import Safe
from tidegate.web.api import build as build_api
from tidegate.web.patience import Patient
from tidegate.web.services import ApiServices

from . import notices
from .exchange import exchange
from .parts import Parts
from .people import credentials, federation
from .permits import emergencies, kill_switch
from .road import Road, authority, certificate

logger = structlog.get_logger("tidegate")


LAST_WORDS = 5
"""Seconds that answers under way may take when the gateway stops; who waits for somebody's yes is cut off then."""


class Office:
    """The API over one process, or over all workers: ``sessions``, ``approvals``, ``halt`` are the whole gateway's.

    ``leaves`` are those of ``parts.authority``.
    """

    def __init__(
        self,
        parts: Parts,
        road: Road,
        revocations: Revocations,
        *,
        sessions: LiveSessions,
        approvals: Questions,
        halt: Halt,
        logs: Library,
        leaves: Iterable[Mapping[str, Json]],
        mandate: Mandate,
    ) -> None:
        settings = parts.settings
        for subject in restore(parts.store, leaves):
            logger.error("store.restored", subject=subject)
        self.grants = road.grants
        reach = notices.reached(parts, road)
        self.outbox = Outbox(parts.store, parts.box, reach, parts.clock, parts.log.append)
        self._notifier = notices.notifier(parts, road, self.outbox)
        self._approvals = approvals
        alarm = notices.alarm(self._notifier)
        self.emergencies = emergencies(parts, self.grants, leaves, alarm)
        self.credentials = credentials(parts, road.failures, road.throttle, leaves)
        enrolment = Enrolment(self.credentials, parts.clock, settings.organisation)
        self.access = Access(
            parts.log, parts.store, parts.issuer, parts.directory, parts.engine, parts.clock,
            revocations=revocations, sessions=sessions, failures=road.failures, grants=self.grants,
            presents=road.admission.asks, life=settings.limits.token, enrolment=enrolment, throttle=road.throttle,
        )  # fmt: skip
        links = Links(
            parts.log, parts.store, parts.directory, parts.clock,
            issuers=settings.workloads, revocations=revocations, sessions=sessions, operates=self.access.operates,
        )  # fmt: skip
        switch = kill_switch(parts, road.register, revocations, sessions, halt, alarm)
        self.federation = federation(parts, self.access, switch, revocations, road.failures, road.secrets, sessions)
        services = ApiServices(
            log=parts.log,
            logs=logs,
            store=parts.store,
            issuer=parts.issuer,
            directory=parts.directory,
            engine=parts.engine,
            approvals=approvals,
            sessions=sessions,
            access=self.access,
            switch=switch,
            grants=self.grants,
            emergencies=self.emergencies,
            credentials=self.credentials,
            enrolment=enrolment,
            links=links,
            exchange=exchange(parts, road, self.access, self.federation, revocations),
            federation=self.federation,
            settings=settings,
            classify=road.classify,
            reading=road.reading,
            impact=road.impact,
            replay_identity=parts.replay_identity,
            box=parts.box,
            clock=parts.clock,
            custody=Custody(parts.log, Safe(parts.store, parts.box), parts.engine, parts.clock, settings.resources),
            authority=authority(settings),
            mandate=mandate,
            outbox=self.outbox,
            buttons=notices.buttons(parts, road, approvals, self.federation, revocations, reach),
        )
        plain = loopback(settings.api)
        chain, key = (None, None) if plain else certificate(settings)
        self._settings = settings
        self._server = _Server(
            uvicorn.Config(
                build_api(services),
                ssl_certfile=chain,
                ssl_keyfile=key,
                host=settings.api.host,
                port=settings.api.port,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # web.services.source reads them, if the settings say that there is a proxy
                timeout_keep_alive=15,
                timeout_graceful_shutdown=LAST_WORDS,
                limit_concurrency=200,
                http=Patient,
                h11_max_incomplete_event_size=32 * 1024,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._running: list[asyncio.Task[None]] = []

    def bind(self) -> None:
        """Take the address. Raises ConfigError when it cannot be used."""
        self._door = bound(self._settings.api)

    async def open(self, tasks: asyncio.TaskGroup) -> None:
        """Serve, if it does not yet; answers when this returns."""
        if self._serving is not None:
            return
        for held in await self._approvals.waiting():
            # It may have been asked just before an earlier process died; who was told already is not told again.
            self._notifier.told(held, -1)
        going = (self.grants.run(), self.emergencies.run(), self.federation.watch(), self.outbox.run())
        self._running = [tasks.create_task(each) for each in going]
        self._serving = tasks.create_task(self._server.serve(sockets=[self._door]))
        while not (self._server.started or self._serving.done()):  # noqa: ASYNC110 - uvicorn tells in no other way
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Answer what was asked, then no more."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        await self.outbox.drained()
        for task in self._running:
            task.cancel()


class _Server(uvicorn.Server):
    """Uvicorn in a loop that somebody else owns: signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bound(address: Address) -> socket.socket:
    """A listening socket. Raises ConfigError when the address cannot be used."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family, backlog=512)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {address} for the API: {error.strerror or error}",
            hint="Another process has the port, or the address is not this machine's: change tidegate.yaml.",
            code="config.listen",
        ) from error
