"""/api/v1/connect: where a resource is for native clients, and how they verify that they have reached it.

Only who may connect is told anything: to everybody else a resource is as unknown as one that is not there.
"""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request

from tidegate.enforcement.revocations import LONGEST_GRANT
from tidegate.errors import ConfigError, Refused
from tidegate.model.identity import BREAKGLASS, Identity
from tidegate.model.recipe import Recipe, fill, places
from tidegate.model.resource import Address, Resource
from tidegate.model.verdict import Effect
from tidegate.protocols.clients import RECIPES

from .services import ApiServices, By, Services
from .shapes import Connection, NativeClient
from .shown import safe

router = APIRouter(prefix="/connect", tags=["connect"])


@router.get("/{resource}")
async def show(at: Services, by: By, request: Request, resource: str, agent: str = "") -> Connection:
    """Show how to connect as oneself, or as an agent of one's own."""
    identity = await at.access.chain(by.identity.person.name, agent or None)
    target, asks = _known(at, identity, resource)
    live = await at.grants.live(identity, resource)
    address = _reachable(_address(at, target), request.url.hostname or "")
    recipe = RECIPES.get(target.protocol, Recipe(()))
    values = places(target.name, address, identity.actor.name)
    return Connection(
        resource=target.name,
        protocol=target.protocol,
        host=address.host,
        port=address.port,
        user=identity.actor.name,
        title=safe(identity.title),
        ca=at.authority,
        seconds=min(at.engine.longest(identity, target, "connect"), LONGEST_GRANT // 1_000_000),
        asks=asks,
        grant=live.id if live is not None and (asks or live.kind == BREAKGLASS) else "",
        files={name: fill(draft.text, values, draft.escape) for name, draft in recipe.files.items()},
        environment={name: fill(text, values) for name, text in recipe.environment.items()},
        clients=[NativeClient(name=c.name, title=c.title, lines=fill(c.lines, values)) for c in recipe.clients],
    )


def _known(at: ApiServices, identity: Identity, name: str) -> tuple[Resource, bool]:
    """The resource, and whether people must say yes first."""
    target = at.settings.resources.get(name)
    effect = at.engine.ability(identity, target, "connect").effect if target is not None else Effect.REFUSE
    if target is None or effect is Effect.REFUSE:
        raise Refused(
            "There is no such resource that you may use.",
            hint="Everybody in the chain needs a rule with `may: [connect]`.",
            code="resource.unknown",
        )
    return target, effect is Effect.HOLD


def _address(at: ApiServices, target: Resource) -> Address:
    address = target.listen or at.settings.listen.get(target.protocol)
    if address is None:
        raise ConfigError(
            f"the gateway listens nowhere for {target.name}",
            hint="An operator adds `listen` to tidegate.yaml.",
            code="config.listen",
        )
    return address


def _reachable(address: Address, called: str) -> Address:
    """Who listens on every address is reached by the name that the caller used for the API (the guard knows it)."""
    try:
        everywhere = ipaddress.ip_address(address.host).is_unspecified
    except ValueError:
        everywhere = False
    return Address(called, address.port) if everywhere and called else address
