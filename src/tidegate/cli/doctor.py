"""`tidegate doctor`: what would keep the gateway from working, and what to do about each.

It reads what `serve` would read and writes nothing. A check that fails never hides the ones after it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tidegate import __version__
from tidegate.build import BUILD
from tidegate.errors import ConfigError, TidegateError
from tidegate.model.resource import Address

from . import screen

if TYPE_CHECKING:
    from tidegate.model.secret import Reference
    from tidegate.settings import Settings
    from tidegate.settings_login import Oidc, Saml
    from tidegate.settings_workloads import Workload

ROOM = 0.10
"""Free share of the file system below which the gateway takes no new session."""

_PATIENCE = 3.0
_ENDPOINTS = ("jwks_uri", "authorization_endpoint", "token_endpoint")


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
    yield _tried("build", _build)
    yield _tried("policy", partial(_policy, settings))
    yield _tried("auditors", partial(_auditors, settings))
    yield _tried("data", partial(_data, settings.data))
    yield _tried("disk", partial(_disk, settings.data))
    for name, resource in sorted(settings.resources.items()):
        yield _tried(f"{name}: secret", partial(_secret, settings, resource.secret))
        yield _tried(f"{name}: address", partial(_reachable, resource.address))
    for name, provider in sorted(settings.login.providers.items()):
        yield _tried(f"login at {name}", partial(_provider, settings, provider))
    for name, issuer in sorted(settings.workloads.items()):
        yield _tried(f"workloads of {name}", partial(_issuer, issuer))


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except TidegateError as error:
        return Check(name, False, error.message, error.hint)
    except OSError as error:
        return Check(name, False, error.strerror or type(error).__name__)


def _build() -> str:
    plain = "plain Python; a compiled build is faster, see docs/howto/build.md"
    return f"{__version__}, {'hot modules compiled' if BUILD == 'compiled' else plain}"


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


def _secret(settings: Settings, text: str) -> str:
    from tidegate.model.secret import parse
    from tidegate.settings import resolve

    reference = parse(text) if text else None
    if reference is None:
        return "none"
    if reference.kind == "vault":
        _vault(settings, reference)
        return f"{text} can be had" if reference.leased else f"{text} can be read"
    if reference.kind == "store":
        _kept(settings.data, reference.name)
    else:
        resolve(text, settings.base)
    return f"{text} can be read"


def _kept(data: Path, name: str) -> None:
    from tidegate.store.box import Box
    from tidegate.store.secrets import look, missing

    key = data / "keys" / "store.key"
    if not key.exists():
        raise missing(name)
    try:
        box = Box(bytes.fromhex(key.read_text().strip()))
    except ValueError:
        raise ConfigError("this secret is damaged", path=str(key), hint="Restore it from a backup.") from None
    look(data / "store.sqlite", box, name)


def _vault(settings: Settings, reference: Reference) -> None:
    """Log in and look; no account is made."""
    from tidegate.secrets.source import local
    from tidegate.secrets.vault import Vault

    async def check() -> None:
        assert settings.vault is not None  # the settings were not accepted otherwise
        await Vault(settings.vault, local(settings.base)).check(reference)

    asyncio.run(check())


def _provider(settings: Settings, provider: Oidc | Saml) -> str:
    """What a login there would need: metadata, or the provider's documents and the client's secret."""
    from tidegate.identity.saml_metadata import Metadata
    from tidegate.settings_login import Saml

    if isinstance(provider, Saml):
        return f"{Metadata(provider.metadata).peer().entity_id} is described"
    keys = asyncio.run(_published(provider))
    if provider.secret:
        _secret(settings, provider.secret)
    return f"{provider.issuer} answers; keys that it signs with: {keys}"


async def _published(provider: Oidc) -> int:
    from tidegate.identity.fetch import Fetch
    from tidegate.identity.jws import public_keys
    from tidegate.identity.keysets import discover, endpoint, unusable

    fetch = Fetch(provider.ca)
    document = await discover(fetch, provider.issuer)
    addresses = [endpoint(document, name, provider.issuer) for name in _ENDPOINTS]
    try:
        return len(public_keys(await fetch.get(addresses[0])))
    except ValueError:
        raise unusable(provider.issuer, "its keys are not a JWK set") from None


def _issuer(issuer: Workload) -> str:
    """What checking a workload's token would need: the issuer's keys."""
    from tidegate.identity.jws import public_keys
    from tidegate.identity.keysets import unusable
    from tidegate.identity.workloads import source

    async def read() -> bytes:
        return await source(issuer)()

    try:
        keys = public_keys(asyncio.run(read()))
    except ValueError:
        raise unusable(issuer.issuer, "its keys are not a JWK set") from None
    if not keys:
        raise unusable(issuer.issuer, "there is no key among them that could be used")
    return f"{issuer.issuer} signs with {len(keys)} keys"


def _reachable(address: Address) -> str:
    with socket.create_connection((address.host, address.port), timeout=_PATIENCE):
        return f"{address} answers"
