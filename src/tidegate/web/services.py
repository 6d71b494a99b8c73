"""What the API needs of the running gateway, handed in by the application, and who is calling."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from tidegate.audit.library import Library
from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.enforcement.access import GATEWAY, Access, Caller
from tidegate.enforcement.buttons import Buttons
from tidegate.enforcement.credentials import Credentials
from tidegate.enforcement.custody import Custody
from tidegate.enforcement.emergencies import Emergencies
from tidegate.enforcement.enrolment import Enrolment
from tidegate.enforcement.exchange import Exchange
from tidegate.enforcement.federation import Federation
from tidegate.enforcement.grants import Grants
from tidegate.enforcement.kill import KillSwitch
from tidegate.enforcement.links import Links
from tidegate.enforcement.mandate import Mandate
from tidegate.enforcement.register import Questions
from tidegate.enforcement.sessions import LiveSessions
from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.model.identity import Identity
from tidegate.model.impact import Attempt, Impact
from tidegate.model.operation import Facts
from tidegate.model.reading import Reading
from tidegate.model.verdict import Effect
from tidegate.notify.outbox import Outbox
from tidegate.policy.engine import Engine
from tidegate.settings import Settings
from tidegate.settings_login import local
from tidegate.store.box import Box
from tidegate.store.rows import Store

from .waiting import Waits


async def no_impact(_resource: str, _attempt: Attempt, _run: bool) -> Impact:
    """Where no resource can be reached."""
    return Impact(unknown="nothing can be looked at here")


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The parts of a running gateway: ``log`` is its own, ``logs`` are all of them, those of workers too.

    ``replay_identity`` is the age secret that opens what agents saw, ``box`` opens what the store keeps secret;
    ``authority`` is what clients must trust to verify the gateway, in PEM, empty for what every machine trusts.
    ``impact`` tells what an attempt on a resource would do, or shows it and takes it back. ``reading`` makes a
    resource's statement easy to read; it blocks for a moment.
    """

    log: Log
    logs: Library
    store: Store
    issuer: Issuer
    directory: Directory
    engine: Engine
    approvals: Questions
    sessions: LiveSessions
    access: Access
    grants: Grants
    emergencies: Emergencies
    switch: KillSwitch
    credentials: Credentials
    enrolment: Enrolment
    links: Links
    exchange: Exchange
    federation: Federation
    settings: Settings
    classify: Callable[[str, str], Awaitable[tuple[Facts, ...]]]
    replay_identity: str = field(repr=False)
    box: Box = field(repr=False)
    clock: Clock
    custody: Custody
    mandate: Mandate
    outbox: Outbox
    buttons: Buttons
    authority: str = ""
    waits: Waits = field(default_factory=Waits)
    impact: Callable[[str, Attempt, bool], Awaitable[Impact]] = field(default=no_impact)
    reading: Callable[[str, str], Reading] = field(default=lambda _resource, text: Reading(text))

    def may(self, identity: Identity, ability: str) -> bool:
        """Whether policy gives ``identity`` an ability on the gateway itself: observe, operate, mint."""
        return self.engine.ability(identity, GATEWAY, ability).effect is Effect.ALLOW

    def demand(self, identity: Identity, ability: str, what: str) -> None:
        """Raises Refused unless ``may``."""
        decision = self.engine.ability(identity, GATEWAY, ability)
        if decision.effect is not Effect.ALLOW:
            raise Refused(
                f"You may not {what}.",
                rule=", ".join(decision.rules),
                hint=decision.hint or f"It needs `may: [{ability}]` on the resource {GATEWAY.name}.",
                code="policy.refused",
            )


def services(request: Request) -> ApiServices:
    """The parts that the application handed in."""
    found = request.app.state.services
    assert isinstance(found, ApiServices)
    return found


def source(request: Request) -> str:
    """The address that a request came from.

    Of what a proxy says only the last address counts, which it has seen itself; what stands before that, anybody can
    write. It is believed only from this machine, and only when the settings say that there is a proxy.
    """
    peer = request.client.host if request.client else ""
    web = services(request).settings.web
    if web is None or not web.forwarded or not local(peer):
        return peer
    told = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return peer


async def caller(request: Request) -> Caller:
    """Who calls, by the bearer token (RFC 6750). Raises AgentError."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    access = services(request).access
    if scheme.lower() != "bearer" or not token:
        raise AgentError("This needs a login token.", code="auth.missing", hint="Authorization: Bearer TOKEN")
    return await access.authenticate(token.strip(), source(request))


Services = Annotated[ApiServices, Depends(services)]
By = Annotated[Caller, Depends(caller)]
