"""How people prove themselves: to this gateway with what they have enrolled, or at identity providers."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping

from tidegate.enforcement.access import Access
from tidegate.enforcement.accounts import Accounts
from tidegate.enforcement.credentials import Credentials
from tidegate.enforcement.enrolled import Enrolled
from tidegate.enforcement.failures import Failures
from tidegate.enforcement.federation import Federation, callback
from tidegate.enforcement.kill import KillSwitch
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import LiveSessions
from tidegate.identity.oidc import OidcProvider
from tidegate.identity.passwords import Passwords
from tidegate.identity.providers import Provider
from tidegate.identity.saml import SamlProvider
from tidegate.identity.throttle import Throttle
from tidegate.model.event import Json
from tidegate.secrets.source import Secrets
from tidegate.settings_login import Saml
from tidegate.store.box import Box

from .parts import Parts


def credentials(
    parts: Parts, failures: Failures, throttle: Throttle, leaves: Iterable[Mapping[str, Json]]
) -> Credentials:
    """Of the process that serves the API; ``leaves`` are those of its own log, oldest first. Blocks for a moment."""
    return Credentials(
        parts.log,
        parts.clock,
        enrolled=Enrolled(parts.log, parts.store, parts.box, parts.clock, leaves),
        directory=parts.directory,
        throttle=throttle,
        passwords=Passwords(),
        failures=failures,
        address=parts.settings.public,
        organisation=parts.settings.organisation,
        linked=lambda subject: any(":" not in row.provider for row in parts.store.links(subject=subject)),
    )


def federation(
    parts: Parts,
    access: Access,
    switch: KillSwitch,
    revocations: Revocations,
    failures: Failures,
    secrets: Secrets,
    sessions: LiveSessions,
) -> Federation:
    """Of the process that serves the API."""
    settings = parts.settings
    return Federation(
        {name: _provider(parts, name, secrets) for name in settings.login.providers},
        settings.login,
        settings.public,
        access=access,
        accounts=Accounts(
            parts.log, parts.store, parts.directory, parts.clock,
            revocations=revocations, spread=sessions.end_of_token, operates=access.operates, join=access.join,
        ),
        switch=switch,
        directory=parts.directory,
        failures=failures,
    )  # fmt: skip


def _provider(parts: Parts, name: str, secrets: Secrets) -> Provider:
    url, login = parts.settings.public, parts.settings.login
    written = login.providers[name]
    if isinstance(written, Saml):
        entity = written.entity_id or f"{url}/login/{name}/metadata"
        return SamlProvider(name, written, callback(url, name, SamlProvider.kind), entity, parts.clock)
    # Refresh tokens are sealed under a key that is nowhere but in this process.
    seal = Box(os.urandom(32))
    return OidcProvider(name, written, secret_of(secrets, written.secret), parts.clock, seal, login.life)


def secret_of(secrets: Secrets, reference: str) -> Callable[[], Awaitable[str]]:
    """Reads a client's secret anew each time it is used, so that a rotation counts at once."""

    async def read() -> str:
        if not reference:
            return ""
        use = await secrets.take(reference, "")
        use.release()
        return use.credential.password

    return read
