"""The composition root: the only file that knows every part.

``serve`` runs a gateway until it is told to stop; ``App`` is the same thing for tests. Start in order: log, store,
policy, listeners. Stop in reverse: accept nobody, end the sessions, seal the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pyrage
import structlog
import uvicorn

from . import __version__
from .audit.log import Log
from .audit.seal import Recipients
from .clock import Clock, SystemClock
from .enforcement.access import Access
from .enforcement.approvals import Approvals
from .enforcement.chronicle import Chronicle
from .enforcement.door import Door
from .enforcement.failures import Failures
from .enforcement.revocations import Revocations
from .enforcement.sessions import Sessions
from .enforcement.stream import Stream
from .errors import ConfigError, LogFailure, TidegateError
from .gateway.certificate import local_names, self_made, server_context
from .gateway.listener import Listener
from .identity.directory import Directory
from .identity.issuer import Issuer
from .journal import configure, surprise
from .model.operation import Facts
from .model.resource import Address, Resource
from .policy.engine import Engine
from .policy.rules import Bundle, load_bundle
from .protocols.registry import PROTOCOLS
from .recording.shelf import Shelf
from .settings import Settings, loopback, resolve
from .store.rows import Store
from .web.api import build as build_api
from .web.patience import Patient
from .web.services import ApiServices

logger = structlog.get_logger("tidegate")

EXIT_LOG_FAILED = 75

COLLECT_EVERY = 50_000
"""Allocations between two searches for cycles: what a statement leaves behind is freed by counting."""

SWITCH = 0.0001
"""Seconds a thread may keep the interpreter while another wants it. The loop lets go of it at every system call; with
Python's own 5 ms it would wait that long for the log's thread each time."""


class App:
    """A gateway built from settings; nothing listens before ``run``."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        _known_protocols(settings)
        self.bundle: Bundle = load_bundle(settings.policy.files)
        self.status = 0
        self._stopping: asyncio.Event

    # start

    def _open(self) -> None:
        """Everything that holds state; blocking, before the loop serves anybody."""
        data = self.settings.data
        if data.is_symlink() or (data.exists() and not data.is_dir()):
            raise ConfigError("`data` is not a directory", path=str(data), hint="Name a directory in tidegate.yaml.")
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.replay_identity, replay = _replay_identity(data / "keys" / "replay.age")
        self.log = Log.open(
            data,
            organisation=self.settings.organisation,
            gateway=self.settings.gateway,
            clock=self.clock,
            recipients=Recipients((replay,), self.settings.recording.auditors),
            chunks=Shelf(data),
            segment=self.settings.audit.segment,
        )
        self.mask_key = private_file(data / "keys" / "mask.key", lambda: os.urandom(32).hex().encode())
        self.issuer = Issuer(data / "keys", self.settings.organisation, self.clock)
        self.store = Store(data / "store.sqlite", self.issuer)
        self.directory = Directory(self.store, self.clock)
        self.engine = Engine(self.bundle)
        self.revocations = Revocations(self.log)

    def _assemble(self) -> None:
        """The parts that live on the loop."""
        self.chronicle = Chronicle(self.store)
        self.sessions = Sessions(self.log, self.clock, self.settings.limits, self.chronicle.session)
        self.approvals = Approvals(self.log, self.clock, self.chronicle.approval)
        failures = Failures(self.log, self.clock)
        self.access = Access(
            self.log, self.store, self.issuer, self.directory, self.engine, self.clock,
            revocations=self.revocations, sessions=self.sessions, failures=failures, resources=self.settings.resources,
        )  # fmt: skip
        self.door = Door(
            log=self.log,
            store=self.store,
            issuer=self.issuer,
            directory=self.directory,
            engine=self.engine,
            approvals=self.approvals,
            sessions=self.sessions,
            revocations=self.revocations,
            resources=self.settings.resources,
            resolve=lambda reference: resolve(reference, self.settings.base),
            limits=self.settings.limits,
            tls=server_context(*self._certificate()),
            mask_key=self.mask_key,
            clock=self.clock,
            failures=failures,
        )

    def _certificate(self) -> tuple[Path, Path]:
        chosen = self.settings.tls
        if chosen is not None:
            return chosen.certificate, chosen.key
        hosts = (self.settings.api.host, *(address.host for address in self.settings.listen.values()))
        return self_made(self.settings.data / "tls", local_names(hosts))

    def _started(self) -> None:
        """Who runs with which configuration and policy: leaves of their own."""
        digest = hashlib.sha256(self.settings.path.read_bytes()).hexdigest()
        self.log.append("gw.start", {"ver": __version__, "cfg": digest, "py": sys.version.split()[0]})
        keep_bundle(self.settings.data / "policies", self.bundle)
        self.log.append("policy.activated", {"ph": self.bundle.sha256, "mode": self.settings.policy.activation})

    def _listeners(self) -> list[Listener]:
        places = self.settings.limits.handshakes

        def serving(protocol: str, resource: Resource | None) -> Callable[[Stream], Awaitable[None]]:
            return lambda stream: PROTOCOLS[protocol].serve(stream, self.door, resource)

        shared = [
            Listener(protocol, address, serving(protocol, None), places=places)
            for protocol, address in self.settings.listen.items()
        ]
        own = [
            Listener(resource.name, resource.listen, serving(resource.protocol, resource), places=places)
            for resource in self.settings.resources.values()
            if resource.listen is not None
        ]
        return shared + own

    # run

    async def run(self, ready: Callable[[App], None] | None = None) -> int:
        """Serve until ``stop``; gives the exit status. Raises ConfigError, IntegrityError before anything listens."""
        self._stopping = asyncio.Event()
        await asyncio.to_thread(self._open)
        self._assemble()
        self.log.start()
        self.log.on_failure(self._log_failed)
        self._started()
        await self.log.sync()
        listeners = self._listeners()
        for listener in listeners:
            await listener.open()
        door_of_api = bound(self.settings.api)
        try:
            await self._serve(listeners, self._api(), door_of_api, ready)
        finally:
            with contextlib.suppress(LogFailure):
                await self.log.stop("stopped" if not self.status else "failed")
            self.store.close()
        return self.status

    async def _serve(
        self,
        listeners: list[Listener],
        api: uvicorn.Server,
        door_of_api: socket.socket,
        ready: Callable[[App], None] | None,
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(listener.run()) for listener in listeners]
            running.append(tasks.create_task(self.sessions.sweep()))
            running.append(tasks.create_task(self.door.atlas.watch(lambda: len(self.sessions) > 0, self._names_failed)))
            running.append(tasks.create_task(self.chronicle.run()))
            serving = tasks.create_task(api.serve(sockets=[door_of_api]))
            while not api.started and not serving.done():  # noqa: ASYNC110 - uvicorn tells in no other way
                await asyncio.sleep(0.01)
            if ready is not None and not serving.done():
                ready(self)
            await self._stopping.wait()
            for listener in listeners:
                listener.close()
            self.sessions.end_all("gateway_stopped", "the gateway is stopping")
            await self.sessions.drained(5.0)
            await self.chronicle.drained()
            api.should_exit = True
            await serving
            for task in running:
                task.cancel()

    def stop(self) -> None:
        """End from anywhere on the loop."""
        self._stopping.set()

    def _log_failed(self, failure: LogFailure) -> None:
        logger.critical("log.failed", cause=failure.message)
        self.status = EXIT_LOG_FAILED
        self.sessions.end_all("log_failed", "the audit log cannot be written, so nothing is executed")
        self.stop()

    def _names_failed(self, error: TidegateError) -> None:
        logger.error("catalog.failed", code=error.code, message=error.message)

    def _api(self) -> uvicorn.Server:
        services = ApiServices(
            log=self.log,
            store=self.store,
            issuer=self.issuer,
            directory=self.directory,
            engine=self.engine,
            approvals=self.approvals,
            sessions=self.sessions,
            access=self.access,
            settings=self.settings,
            classify=self._classify,
            replay_identity=self.replay_identity,
            clock=self.clock,
        )
        plain = loopback(self.settings.api)
        certificate, key = (None, None) if plain else self._certificate()
        config = uvicorn.Config(
            build_api(services),
            ssl_certfile=certificate,
            ssl_keyfile=key,
            host=self.settings.api.host,
            port=self.settings.api.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=15,
            limit_concurrency=200,
            http=Patient,
            h11_max_incomplete_event_size=32 * 1024,
        )
        return ApiServer(config)

    async def _classify(self, name: str, text: str) -> tuple[Facts, ...]:
        """The operations of a text on a resource as its sessions would see them."""
        resource = self.settings.resources[name]
        names = await PROTOCOLS[resource.protocol].names(self.door, resource)
        return names.current.classify(text)


class ApiServer(uvicorn.Server):
    """Uvicorn in a loop that somebody else owns: signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings) -> None:
    """Run until SIGINT or SIGTERM; exits with the gateway's status."""
    import uvloop

    configure()
    sys.setswitchinterval(SWITCH)
    app = App(settings)
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: surprise("loop.surprise", context.get("exception")))

        def ready(app: App) -> None:
            for name in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(name, app.stop)
            _announce(app)

        return await app.run(ready)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(main())
    if status:
        raise SystemExit(status)


def _announce(app: App) -> None:
    logger.info(
        "gateway.ready",
        api=str(app.settings.api),
        listen={name: str(address) for name, address in app.settings.listen.items()},
        policy=app.bundle.sha256[:16],
        log=app.log.origin,
    )
    code = app.access.bootstrap_code()
    if code:
        print(f"No administrator yet. One-time bootstrap code: {code}", file=sys.stderr, flush=True)  # noqa: T201


def _known_protocols(settings: Settings) -> None:
    for name in [*settings.listen, *(resource.protocol for resource in settings.resources.values())]:
        if name not in PROTOCOLS:
            raise ConfigError(
                f"unknown protocol {name!r}", path=str(settings.path), hint=f"Known: {', '.join(sorted(PROTOCOLS))}."
            )


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


def keep_bundle(directory: Path, bundle: Bundle) -> None:
    """Keep a policy bundle under its hash, so that any decision can be recomputed later."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{bundle.sha256}.json"
    if not path.exists():
        path.write_bytes(bundle.canonical)


def private_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of a secret file, made on first use with mode 0600.

    Raises ConfigError when it is shorter than what was made would be, or open to others.
    """
    fresh = make()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(fresh)
            os.fsync(file.fileno())
    if path.stat().st_mode & 0o077:
        raise ConfigError("this secret is open to others", path=str(path), hint=f"chmod 600 {path}")
    content = path.read_bytes()
    if len(content.strip()) < len(fresh.strip()):
        raise ConfigError("this secret is damaged", path=str(path), hint="Restore it from a backup.")
    return content


def _replay_identity(path: Path) -> tuple[str, str]:
    """The age key that opens what agents saw, and its public half. Raises ConfigError."""
    secret = private_file(path, lambda: str(pyrage.x25519.Identity.generate()).encode()).decode("ascii", "replace")
    try:
        return secret.strip(), str(pyrage.x25519.Identity.from_str(secret.strip()).to_public())
    except pyrage.IdentityError:
        raise ConfigError("this secret is damaged", path=str(path), hint="Restore it from a backup.") from None
