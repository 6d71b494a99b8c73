"""The data path of one process: from its listeners to the upstreams, and all that decides on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tidegate.enforcement.admission import Admission, Grantor
from tidegate.enforcement.chronicle import Chronicle
from tidegate.enforcement.door import Door
from tidegate.enforcement.failures import Failures
from tidegate.enforcement.kept import restore
from tidegate.enforcement.keyring import Keyring
from tidegate.enforcement.names import Others
from tidegate.enforcement.places import Doorkeeper, Places
from tidegate.enforcement.register import Desk, Register
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import Sessions
from tidegate.enforcement.standing import Standing
from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, TidegateError
from tidegate.gateway.certificate import local_names, self_made, server_context
from tidegate.gateway.listener import Listener
from tidegate.identity.throttle import Throttle
from tidegate.identity.workloads import Workloads
from tidegate.model.event import Json
from tidegate.model.impact import Attempt, Impact
from tidegate.model.operation import Facts
from tidegate.model.reading import Reading
from tidegate.model.resource import Resource
from tidegate.protocols.registry import PROTOCOLS
from tidegate.secrets.source import Secrets
from tidegate.settings import Settings
from tidegate.store.secrets import Safe

from . import permits
from .parts import Parts

LOOKS = 2
"""Estimates and dry runs at a time."""

logger = structlog.get_logger("tidegate")


class Road:
    """Built on the loop. ``desk``, ``places``, ``cancel_elsewhere``, ``others`` and ``grants`` reach other processes
    where there are any; without ``desk`` the register of approvals is here.
    """

    def __init__(
        self,
        parts: Parts,
        revocations: Revocations,
        *,
        desk: Desk | None = None,
        places: Doorkeeper | None = None,
        cancel_elsewhere: Callable[[int, bytes], Awaitable[None]] | None = None,
        others: Others | None = None,
        grants: Grantor | None = None,
    ) -> None:
        settings, log, clock = parts.settings, parts.log, parts.clock
        parts.directory.watch(revocations.outdated)
        self._parts = parts
        self._settings = settings
        self._worker = parts.worker
        self._listeners: list[Listener] = []
        self._looking = asyncio.Semaphore(LOOKS)
        self.chronicle = Chronicle(parts.store, parts.box)
        self.sessions = Sessions(log, clock, settings.limits, self.chronicle.session, parts.worker)
        self.register = Register(log, clock, revocations)
        self.register.listen(self.chronicle.approval)
        self.register.watch(lambda subject: parts.directory.resolve((subject,)).person.groups)
        self.failures = Failures(log, clock)
        self.throttle = Throttle(clock, self.failures.slowed)
        self.secrets = Secrets(settings, Safe(parts.store, parts.box), log.append, log.sync)
        self.workloads = Workloads(settings.workloads, parts.store, clock, revocations)
        self.grants = permits.grants(parts, self.register, revocations)
        self.standing = Standing(log, parts.store, parts.engine, clock, revocations, self.grants)
        self.admission = Admission(
            issuer=parts.issuer,
            directory=parts.directory,
            engine=parts.engine,
            store=parts.store,
            workloads=self.workloads,
            grants=grants or self.standing,
            revocations=revocations,
            clock=clock,
        )
        self.door = Door(
            log=log,
            admission=self.admission,
            engine=parts.engine,
            desk=desk or self.register,
            sessions=self.sessions,
            resources=settings.resources,
            keyring=Keyring(self.secrets, self.sessions.end_of_account),
            limits=settings.limits,
            tls=server_context(
                *certificate(settings),
                agents=parts.issuer.authority,
                alpn=[protocol.ALPN for protocol in PROTOCOLS.values() if protocol.ALPN],
            ),
            mask_key=parts.mask_key,
            clock=clock,
            failures=self.failures,
            throttle=self.throttle,
            places=places or Places(settings.limits.sessions),
            worker=parts.worker,
            cancel_elsewhere=cancel_elsewhere,
            others=others,
        )

    def restore(self, leaves: Iterable[Mapping[str, Json]]) -> None:
        """Take up the approvals of earlier starts; blocks for a moment, at start."""
        parts = self._parts
        restore(self.register, parts.store, parts.box, parts.log, parts.clock, leaves)

    async def open(self) -> None:
        """Listen. Raises ConfigError when an address cannot be used."""
        self._listeners = self._every_listener()
        for listener in self._listeners:
            await listener.open(shared=self._settings.workers > 1)

    def run(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin what runs until it is cancelled."""
        going = [listener.run() for listener in self._listeners]
        watching = self.door.atlas.watch(self.sessions.on, _names_failed)
        return [tasks.create_task(each) for each in (*going, self.sessions.sweep(), watching)]

    def keep(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Begin what runs whether agents are served here or not."""
        return [tasks.create_task(each) for each in (self.secrets.run(), self.chronicle.run())]

    async def drain(self) -> None:
        """Accept nobody, end every session and wait until their last words are written."""
        for listener in self._listeners:
            listener.close()
        self.sessions.end_all("gateway_stopped", "the gateway is stopping")
        await self.sessions.drained(5.0)
        await self.chronicle.drained()
        await self.secrets.close()

    async def classify(self, name: str, text: str) -> tuple[Facts, ...]:
        """The operations of a text on a resource as its sessions would see them."""
        resource = self._settings.resources[name]
        names = await PROTOCOLS[resource.protocol].names(self.door, resource)
        return names.current.classify(text)

    async def impact(self, name: str, attempt: Attempt, run: bool) -> Impact:
        """What an attempt on a resource would do; few at a time, since a dry run works and locks as what it tries."""
        resource = self._settings.resources.get(name)
        if resource is None:
            return Impact(unknown="the resource is not there any more")
        if self._looking.locked():
            return Impact(unknown="others are being looked at just now: try again in a moment")
        async with self._looking:
            return await PROTOCOLS[resource.protocol].impact(self.door, resource, attempt, run=run)

    def reading(self, name: str, text: str) -> Reading:
        """A statement on a resource for people to read. Blocks for a moment."""
        resource = self._settings.resources.get(name)
        return PROTOCOLS[resource.protocol].reading(text) if resource is not None else Reading(text)

    def redacted(self, name: str, text: str) -> str:
        """A statement on a resource without any value, empty when it cannot be said so. Blocks for a moment."""
        resource = self._settings.resources.get(name)
        return PROTOCOLS[resource.protocol].redacted(text) if resource is not None else ""

    def _every_listener(self) -> list[Listener]:
        places = -(-self._settings.limits.handshakes // self._settings.workers)

        def serving(protocol: str, resource: Resource | None) -> Callable[[Stream], Awaitable[None]]:
            return lambda stream: PROTOCOLS[protocol].serve(stream, self.door, resource)

        shared = [
            Listener(protocol, address, serving(protocol, None), places=places)
            for protocol, address in self._settings.listen.items()
        ]
        own = [
            Listener(resource.name, resource.listen, serving(resource.protocol, resource), places=places)
            for resource in self._settings.resources.values()
            if resource.listen is not None
        ]
        return shared + own


def certificate(settings: Settings) -> tuple[Path, Path]:
    """Certificate and key for the agents' side: the operator's, or self-made on first use."""
    if settings.tls is not None:
        return settings.tls.certificate, settings.tls.key
    own = (resource.listen for resource in settings.resources.values() if resource.listen is not None)
    hosts = (settings.api.host, *(address.host for address in (*settings.listen.values(), *own)))
    return self_made(settings.data / "tls", local_names(hosts), hosts)


def authority(settings: Settings) -> str:
    """What a client must trust to verify the agents' side, in PEM: the operator's authority, or the self-made
    certificate; empty for an authority that every machine knows. Raises ConfigError."""
    trusted = settings.tls.ca if settings.tls is not None else certificate(settings)[0]
    if trusted is None:
        return ""
    try:
        found = x509.load_pem_x509_certificates(trusted.read_bytes())
    except (OSError, ValueError):
        raise ConfigError(
            "this is not a readable PEM file of certificates", path=str(trusted), hint="See `tls.ca` in tidegate.yaml."
        ) from None
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in found)


def _names_failed(error: TidegateError) -> None:
    logger.error("catalog.failed", code=error.code, message=error.message)
