"""How a token gets from the gateway to a native client: by files in a private directory, and variables that name them.

Invariants: the token is on no command line and in no variable; the directory is its owner's alone (0700, files 0600),
in memory where the system offers that, and goes with the command that made it, or, after a kill -9, with the next one.
What a client reads and what is started comes from the recipes of this installation, never from what a gateway answers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import ssl
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.errors import ConfigError, ResourceError
from tidegate.model.recipe import Recipe, fill, places
from tidegate.model.resource import Address
from tidegate.protocols.clients import RECIPES

from .credentials import write_private

PREFIX = "tidegate-connect-"
_LOCK = ".lock"
_YOUNG = 60.0
"""Seconds in which a directory without a locked file may still be about to be used."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a resource is: as whom (``agent`` empty for oneself), for how many seconds at most, and how clients go.

    ``asks``: people must say yes first; ``grant`` is the id of the live grant to use, if there is one.
    """

    resource: str
    agent: str
    address: Address
    user: str
    title: str
    ca: str
    longest: int
    asks: bool
    grant: str
    recipe: Recipe

    @property
    def places(self) -> dict[str, str]:
        """What is known of the recipe's places."""
        return places(self.resource, self.address, self.user)


def route(gateway: Any, resource: str, agent: str) -> Route:
    """Ask the gateway for the way. Raises Refused ``resource.unknown``, ResourceError for a protocol unknown here."""
    answer = gateway.get("connect", resource, agent=agent or None)
    recipe = RECIPES.get(answer["protocol"])
    if recipe is None:
        raise ResourceError(
            f"{resource} speaks a protocol that this version does not know",
            hint="Update Tidegate.",
            code="client.unknown",
        )
    address = Address(str(answer["host"]), int(answer["port"]))
    user, title = str(answer["user"]), str(answer["title"])
    return Route(
        resource,
        agent,
        address,
        user,
        title,
        str(answer["ca"]),
        int(answer["seconds"]),
        bool(answer["asks"]),
        str(answer["grant"]),
        recipe,
    )


class Handover:
    """The files of a route in ``directory``, which is the caller's and private."""

    def __init__(self, way: Route, directory: Path) -> None:
        self.directory = directory
        self._way = way
        trusted = directory / "ca.pem" if way.ca else _every_authority()
        self._places = {**way.places, "directory": str(directory), "ca": str(trusted)}
        if way.ca:
            write_private(trusted, way.ca)

    def put(self, token: str) -> None:
        """Write the files anew, each in one step: a client that reads meanwhile finds the old or the new one."""
        for name, draft in self._way.recipe.files.items():
            write_private(self.directory / name, self._filled(draft.text, draft.escape, token=token))

    @property
    def variables(self) -> dict[str, str]:
        """What points clients at the files."""
        return {name: self._filled(text) for name, text in self._way.recipe.environment.items()}

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """For the client: what it would have had, without what would get in the way, and with ``variables``."""
        kept = {name: value for name, value in inherited.items() if name not in self._way.recipe.unset}
        return kept | self.variables

    def lines(self, client: str = "") -> list[tuple[str, str, str]]:
        """Name, title and line of each client, or of one."""
        clients = self._way.recipe.clients
        return [(each.name, each.title, self._filled(each.lines)) for each in clients if client in ("", each.name)]

    def _filled(self, text: str, escape: str = "", **more: str) -> str:
        try:
            return fill(text, {**self._places, **more}, escape)
        except ValueError as error:
            raise ConfigError(str(error), code="client.value") from None


@contextlib.contextmanager
def private_directory() -> Iterator[tuple[Path, int]]:
    """A directory for one command, and a descriptor that keeps it from being swept while anybody has it open."""
    base = _base()
    _sweep(base)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield directory, lock
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def lasting_directory(home: Path, resource: str, agent: str) -> Path:
    """The directory of `tidegate env`, private like the login beside it. Raises ConfigError."""
    directory = home / "env" / (f"{resource}@{agent}" if agent else resource)
    for each in (home / "env", directory):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _ours(each):
            raise ConfigError("others may read this directory", path=str(each), hint=f"chmod 700 {each}")
    return directory


def _base() -> Path:
    """The user's own directory in memory if there is one, else the system's for temporary files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(runtime) if runtime and _ours(Path(runtime)) else Path(tempfile.gettempdir())


def _sweep(base: Path) -> None:
    """Remove what killed commands left behind: directories of this user whose lock nobody holds."""
    for directory in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if _ours(directory) and time.time() - directory.stat().st_mtime > _YOUNG and _deserted(directory / _LOCK):
                shutil.rmtree(directory, ignore_errors=True)


def _deserted(lock: Path) -> bool:
    descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _ours(directory: Path) -> bool:
    try:
        status = directory.lstat()
    except OSError:
        return False
    private = status.st_uid == os.getuid() and not status.st_mode & 0o077
    return stat.S_ISDIR(status.st_mode) and private


def _every_authority() -> Path:
    """The system's own list of authorities. Raises ConfigError."""
    known = ssl.get_default_verify_paths()
    for name in (known.cafile, known.openssl_cafile):
        if name and Path(name).is_file():
            return Path(name)
    raise ConfigError(
        "this machine has no list of certificate authorities",
        hint="Install one (ca-certificates), or let the operator set `tls.ca`.",
        code="client.authority",
    )
