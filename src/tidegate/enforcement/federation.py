"""Logging in at identity providers: there and back, as whom, for how long, and the end when the provider says so.

A provider says that somebody's login is over (back-channel logout), or refuses to renew it when asked every ``EVERY``
seconds: then logins, tokens, grants and sessions of that person end as by the kill switch, in every process, and it is
an event. Whoever the provider lets in again afterwards comes in anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import structlog

from tidegate.errors import AgentError, LogFailure, Refused, TidegateError
from tidegate.identity.directory import Directory
from tidegate.identity.providers import Begun, Flow, Provider
from tidegate.model.identity import External, Hop, Identity, Kind
from tidegate.settings_login import Login

from .access import LOGIN, Access, Minted
from .accounts import Accounts
from .kill import IDENTITY, KillSwitch

EVERY = 300
"""Seconds between two questions whether providers still know who is logged in."""

T = TypeVar("T")
logger = structlog.get_logger("tidegate")


@dataclass(frozen=True, slots=True)
class Way:
    """A provider, as the login page shows it; ``kind`` is ``oidc`` or ``saml``."""

    name: str
    title: str
    kind: str


@runtime_checkable
class TellsEnds(Protocol):
    """A provider that tells us when a login there is over."""

    async def logout(self, token: str) -> str:
        """Whose: the provider's subject. Raises AgentError, ResourceError."""


@runtime_checkable
class Described(Protocol):
    """A provider that wants to read a description of us."""

    @property
    def description(self) -> bytes:
        """XML."""


class Federation:
    """Event loop only. ``providers`` by name; ``url`` is the public address; ``failures`` counts refused logins."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        settings: Login,
        url: str,
        *,
        access: Access,
        accounts: Accounts,
        switch: KillSwitch,
        directory: Directory,
        failures: Callable[[str, str], None],
    ) -> None:
        self._providers = providers
        self._settings = settings
        self._url = url
        self._access = access
        self.accounts = accounts
        self._switch = switch
        self._directory = directory
        self._failures = failures

    @property
    def ways(self) -> Sequence[Way]:
        """The providers at which people may log in."""
        return [Way(name, self._settings.providers[name].title, each.kind) for name, each in self._providers.items()]

    async def begin(self, name: str, *, fresh: bool = False) -> Begun:
        """The way to a provider. Raises Refused ``login.unknown``, ResourceError, ConfigError."""
        provider = self._provider(name)
        return await provider.begin(callback(self._url, name, provider.kind), fresh=fresh)

    async def login(self, flow: Flow, answer: Mapping[str, str], *, peer: str, audience: str = LOGIN) -> Minted:
        """Who came back from a provider, logged in. Raises AgentError, Refused, ResourceError, ConfigError."""
        external, who = await self._counted(self._who(flow, answer), peer)
        return await self._access.login(
            who, method=external.proof, audience=audience, ttl=self._settings.life, peer=peer
        )

    async def confirm(self, flow: Flow, answer: Mapping[str, str], person: Identity, *, peer: str) -> str:
        """How ``person`` has just proven anew at a provider that they are there (``oidc:NAME``).

        Raises AgentError ``login.other`` when it was somebody else, and as ``login`` does.
        """
        external, who = await self._counted(self._who(flow, answer), peer)
        if not flow.fresh or who.person.subject != person.person.subject:
            self._failures("login.other", peer)
            raise AgentError(
                "somebody else logged in at the provider", hint="Log in there as yourself.", code="login.other"
            )
        return external.proof

    async def logout(self, name: str, token: str, peer: str) -> None:
        """A provider's logout token: the person's logins, tokens and sessions end. Raises AgentError, Refused."""
        provider = self._provider(name)
        if not isinstance(provider, TellsEnds):
            raise Refused("this provider sends no logouts", hint="Only OpenID providers do.", code="login.unknown")
        subject = await self._counted(provider.logout(token), peer)
        await self._over(name, subject, "the provider logged them out")

    def description(self, name: str) -> bytes:
        """Our metadata for a provider that reads it. Raises Refused ``login.unknown``."""
        provider = self._provider(name)
        if not isinstance(provider, Described):
            raise Refused("this provider reads no metadata", hint="Only SAML providers do.", code="login.unknown")
        return provider.description

    async def watch(self) -> None:
        """Ask the providers now and then whom they do not know any more; until cancelled, or the log fails."""
        while self._providers:
            await asyncio.sleep(EVERY)
            for name in self._providers:
                try:
                    await self.look(name)
                except LogFailure:
                    return
                except TidegateError as error:
                    logger.error("provider.failed", provider=name, code=error.code, message=error.message)

    async def look(self, name: str) -> None:
        """Ask one provider. Raises ResourceError, LogFailure."""
        for subject in await self._provider(name).gone():
            await self._over(name, subject, "the provider does not know them any more")

    async def _who(self, flow: Flow, answer: Mapping[str, str]) -> tuple[External, Identity]:
        external = await self._provider(flow.provider).finish(flow, answer)
        joining = self._settings.providers[flow.provider].joining
        return external, await self.accounts.person(external, joining)

    async def _over(self, name: str, subject: str, why: str) -> None:
        known = await self.accounts.known(name, subject)
        entries = await asyncio.to_thread(self._directory.entries) if known else ()
        person = next((entry.hop for entry in entries if entry.hop.subject == known), None)
        if person is not None:
            by = Identity((Hop(f"idp:{name}", self._settings.providers[name].title, Kind.SERVICE),))
            await self._switch.order(by, IDENTITY, person.name, why)

    async def _counted(self, step: Awaitable[T], peer: str) -> T:
        try:
            return await step
        except (AgentError, Refused) as error:
            self._failures(error.code, peer)
            raise

    def _provider(self, name: str) -> Provider:
        found = self._providers.get(name)
        if found is None:
            raise Refused("there is no such provider", hint="Choose one on the login page.", code="login.unknown")
        return found


def callback(url: str, name: str, kind: str) -> str:
    """The address that a provider's answers come to: by GET for ``oidc``, by POST for ``saml``."""
    return f"{url}/login/{name}/{'acs' if kind == 'saml' else 'callback'}"
