"""`tidegate doctor`: what would keep the gateway from working, and what to do about each.

It reads what `serve` would read and writes nothing. A check that fails never hides the ones after it.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tidegate.errors import ConfigError, TidegateError
from tidegate.model.resource import Address

from . import screen

if TYPE_CHECKING:
    from tidegate.settings import Settings

ROOM = 0.10
"""Free share of the file system below which the gateway takes no new session."""

_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: ``hint`` says what to do when it is not ``ok``."""

    name: str
    ok: bool
    text: str
    hint: str = ""


def doctor(
    *,
    config: Annotated[Path, Parameter(help="The gateway's configuration.")] = Path("tidegate.yaml"),
    output: screen.Output = "table",
) -> int:
    """Check configuration, policy, keys, disk and resources. Exit status 78 when something is wrong."""
    from tidegate.settings import load

    checks = list(examine(load(config)))
    if output == "json":
        screen.as_json([{"name": c.name, "ok": c.ok, "text": c.text, "hint": c.hint} for c in checks])
    else:
        rows = [("ok" if check.ok else "error", check.name, check.text) for check in checks]
        screen.table(("", "check", "found"), rows, empty="Nothing to check.")
        for check in checks:
            if not check.ok and check.hint:
                screen.note(f"{check.name}: {check.hint}")
    return 0 if all(check.ok for check in checks) else 78


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, in the order in which `serve` would fail."""
    yield _tried("policy", partial(_policy, settings))
    yield _tried("auditors", partial(_auditors, settings))
    yield _tried("data", partial(_data, settings.data))
    yield _tried("disk", partial(_disk, settings.data))
    for name, resource in sorted(settings.resources.items()):
        yield _tried(f"{name}: secret", partial(_secret, settings, resource.secret))
        yield _tried(f"{name}: address", partial(_reachable, resource.address))


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except TidegateError as error:
        return Check(name, False, error.message, error.hint)
    except OSError as error:
        return Check(name, False, error.strerror or type(error).__name__)


def _policy(settings: Settings) -> str:
    from tidegate.policy.rules import load_bundle

    from .policy import written

    bundle = load_bundle(settings.policy.files)
    return f"{len(written(bundle))} rules, SHA-256 {bundle.sha256[:16]}…, activation {settings.policy.activation}"


def _auditors(settings: Settings) -> str:
    from tidegate.audit.seal import Recipients

    return f"{len(Recipients((), settings.recording.auditors).of('upstream'))} who can open what upstreams really sent"


def _data(data: Path) -> str:
    if not data.exists():
        return f"{data} will be made"
    if data.stat().st_mode & 0o077:
        raise ConfigError("others may look into it", path=str(data), hint=f"chmod 700 {data}")
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError("this account may not write there", path=str(data), hint="Run as the gateway's account.")
    return str(data)


def _disk(data: Path) -> str:
    place = next(path for path in (data, *data.parents) if path.exists())
    usage = shutil.disk_usage(place)
    free = usage.free / usage.total
    if free < ROOM:
        raise ConfigError(f"only {free:.0%} free", path=str(place), hint=f"Below {ROOM:.0%} no session is opened.")
    return f"{free:.0%} free"


def _secret(settings: Settings, reference: str) -> str:
    from tidegate.settings import resolve

    if not reference:
        return "none"
    resolve(reference, settings.base)
    return f"{reference} can be read"


def _reachable(address: Address) -> str:
    with socket.create_connection((address.host, address.port), timeout=_PATIENCE):
        return f"{address} answers"
