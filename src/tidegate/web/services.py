"""What the API needs of the running gateway, handed in by the application, and who is calling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.enforcement.access import GATEWAY, Access, Caller
from tidegate.enforcement.approvals import Approvals
from tidegate.enforcement.sessions import Sessions
from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer
from tidegate.model.identity import Identity
from tidegate.model.operation import Facts
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.settings import Settings
from tidegate.store.rows import Store


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The parts of a running gateway. ``replay_identity`` is the age secret that opens what agents saw."""

    log: Log
    store: Store
    issuer: Issuer
    directory: Directory
    engine: Engine
    approvals: Approvals
    sessions: Sessions
    access: Access
    settings: Settings
    classify: Callable[[str, str], Awaitable[tuple[Facts, ...]]]
    replay_identity: str = field(repr=False)
    clock: Clock

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


async def caller(request: Request) -> Caller:
    """Who calls, by the bearer token (RFC 6750). Raises AgentError."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    peer = request.client.host if request.client else ""
    access = services(request).access
    if scheme.lower() != "bearer" or not token:
        raise AgentError("This needs a login token.", code="auth.missing", hint="Authorization: Bearer TOKEN")
    return await access.authenticate(token.strip(), peer)


Services = Annotated[ApiServices, Depends(services)]
By = Annotated[Caller, Depends(caller)]
