"""What holds a gateway's state, opened before its loop serves anybody: log, store, keys, policy."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyrage

from tidegate import __version__
from tidegate.audit.library import places
from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import Clock
from tidegate.enforcement.emergencies import BREAKING
from tidegate.enforcement.enrolled import ENROLLING
from tidegate.enforcement.mandate import Mandate
from tidegate.enforcement.register import Register
from tidegate.enforcement.revocations import ENDING
from tidegate.errors import ConfigError
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.model.event import Json
from tidegate.policy.engine import Engine
from tidegate.policy.rules import Bundle
from tidegate.recording.shelf import Shelf
from tidegate.settings import Settings
from tidegate.store.box import Box
from tidegate.store.rows import Store

PREDECESSOR = 15.0
"""Seconds that a worker may still hold its log after its supervisor was killed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The state of one process. ``worker`` is its number, 0 for the process that has the gateway's own log.

    ``replay_identity`` is the age secret that opens what agents saw; ``mask_key`` makes pseudonyms, ``box``
    seals what the store keeps secret.
    """

    settings: Settings
    clock: Clock
    worker: int
    log: Log
    store: Store
    issuer: Issuer
    directory: Directory
    engine: Engine
    recipients: Recipients
    replay_identity: str = field(repr=False)
    mask_key: bytes = field(repr=False)
    box: Box = field(repr=False)

    def started(self) -> None:
        """Who runs with which configuration: a leaf of its own."""
        digest = configuration(self.settings)
        self.log.append("gw.start", {"ver": __version__, "cfg": digest, "py": sys.version.split()[0]})


def open_parts(settings: Settings, clock: Clock, bundle: Bundle, worker: int = 0) -> Parts:
    """Open everything; blocks. Raises ConfigError, IntegrityError, LogFailure."""
    data = settings.data
    if data.is_symlink() or (data.exists() and not data.is_dir()):
        raise ConfigError("`data` is not a directory", path=str(data), hint="Name a directory in tidegate.yaml.")
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    replay_identity, replay = _replay_identity(data / "keys" / "replay.age")
    recipients = Recipients((replay,), settings.recording.auditors)
    log = open_log(settings, clock, recipients, worker)
    issuer = Issuer(data / "keys", settings.organisation, clock)
    store = Store(data / "store.sqlite", issuer)
    return Parts(
        settings=settings,
        clock=clock,
        worker=worker,
        log=log,
        store=store,
        issuer=issuer,
        directory=Directory(store, clock),
        engine=Engine(bundle),
        recipients=recipients,
        replay_identity=replay_identity,
        mask_key=private_file(data / "keys" / "mask.key", lambda: os.urandom(32).hex().encode()),
        box=_box(data / "keys" / "store.key"),
    )


def mandate(parts: Parts, register: Register, adopt: Callable[[Bundle], Awaitable[None]]) -> Mandate:
    """What decides which policy is in force, listening to what people approve."""
    found = Mandate(parts.settings, parts.log, parts.engine, register, adopt)
    register.listen(found.heard)
    return found


def authority(log: Log) -> Sequence[Mapping[str, Json]]:
    """The leaves by which a start knows what was revoked, enrolled, approved and activated, oldest first. Blocks."""
    wanted = {*ENDING, *ENROLLING, *BREAKING, "policy.activated"}
    found = [leaf for leaf in log.recent(0) if leaf["k"] in wanted or str(leaf["k"]).startswith("approval.")]
    return found[::-1]


def open_log(settings: Settings, clock: Clock, recipients: Recipients, worker: int) -> Log:
    """The log of a worker, or the gateway's own (0). Blocks. Raises ConfigError, IntegrityError, LogFailure.

    A worker whose supervisor was killed may still be closing its log: its successor waits a while.
    """
    end = time.monotonic() + (PREDECESSOR if worker else 0)
    while True:
        try:
            return _opened(settings, clock, recipients, worker)
        except ConfigError as error:
            if error.code != "data.locked" or time.monotonic() >= end:
                raise
            time.sleep(0.1)


def _opened(settings: Settings, clock: Clock, recipients: Recipients, worker: int) -> Log:
    directory = log_directory(settings, worker)
    return Log.open(
        directory,
        organisation=settings.organisation,
        gateway=f"{settings.gateway}-{worker}" if worker else settings.gateway,
        clock=clock,
        recipients=recipients,
        chunks=Shelf(directory),
        segment=settings.audit.segment,
    )


def close_leftovers(parts: Parts) -> None:
    """Close what workers that will not be started again left open, as their successors would have."""
    running = parts.settings.workers if parts.settings.workers > 1 else 0
    for number, _ in places(parts.settings.data):
        if number > running:
            open_log(parts.settings, parts.clock, parts.recipients, number).close()


def log_directory(settings: Settings, worker: int) -> Path:
    """Where a worker's log lies, and its recordings."""
    return settings.data / "workers" / str(worker) if worker else settings.data


def configuration(settings: Settings) -> str:
    """The SHA-256 of the configuration file as it was read, in hex."""
    return hashlib.sha256(settings.content).hexdigest()


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


def _box(path: Path) -> Box:
    """What seals the store's secrets. Raises ConfigError."""
    text = private_file(path, lambda: os.urandom(32).hex().encode()).strip()
    try:
        return Box(bytes.fromhex(text.decode("ascii", "replace")))
    except ValueError:
        raise ConfigError("this secret is damaged", path=str(path), hint="Restore it from a backup.") from None


def _replay_identity(path: Path) -> tuple[str, str]:
    """The age key that opens what agents saw, and its public half. Raises ConfigError."""
    secret = private_file(path, lambda: str(pyrage.x25519.Identity.generate()).encode()).decode("ascii", "replace")
    try:
        return secret.strip(), str(pyrage.x25519.Identity.from_str(secret.strip()).to_public())
    except pyrage.IdentityError:
        raise ConfigError("this secret is damaged", path=str(path), hint="Restore it from a backup.") from None
