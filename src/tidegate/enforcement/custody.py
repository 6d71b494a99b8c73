"""Who may change the secrets that the gateway keeps itself: with the ability to operate, durable before it counts.

A secret decides with which account the gateway acts upstream, so setting and removing one are events. Nobody reads one
back: a value leaves the store only for a login.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.model.identity import Identity
from tidegate.model.resource import Resource
from tidegate.model.secret import parse
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.store.rows import SecretRow
from tidegate.store.secrets import LONGEST, Safe

from .access import GATEWAY


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a secret: when it was changed (Unix microseconds), by which subject, what uses it."""

    name: str
    by: str
    changed: int
    leaf: int
    resources: tuple[str, ...]


class Custody:
    """Event loop only; one for a gateway, so that changes follow each other as their leaves do."""

    def __init__(self, log: Log, safe: Safe, engine: Engine, clock: Clock, resources: Mapping[str, Resource]) -> None:
        self._log = log
        self._safe = safe
        self._engine = engine
        self._clock = clock
        self._resources = resources
        self._turn = asyncio.Lock()

    async def put(self, by: Identity, name: str, value: str) -> Kept:
        """Keep a value, new or in place of another, for the next connection. Raises Refused, AgentError, LogFailure."""
        self._demand(by, "operate", "set secrets")
        if not value or len(value) > LONGEST or "\0" in value:
            raise AgentError(f"a secret has 1 to {LONGEST} characters and no NUL", code="request.secret")
        async with self._turn:
            leaf = await self._changed(name, by, "set")
            subject, now = by.person.subject, self._clock.now()
            return self._shown(await asyncio.to_thread(self._safe.put, name, value, by=subject, changed=now, leaf=leaf))

    async def remove(self, by: Identity, name: str) -> Kept:
        """Forget a secret: connections that need it are refused from now on. Raises Refused, LogFailure."""
        self._demand(by, "operate", "remove secrets")
        async with self._turn:
            row = await asyncio.to_thread(self._safe.find, name)
            if row is None:
                raise Refused("there is no such secret", hint="See: tidegate secret ls", code="secret.unknown")
            await self._changed(name, by, "removed")
            await asyncio.to_thread(self._safe.remove, name)
        return self._shown(row)

    async def listing(self, by: Identity) -> list[Kept]:
        """Every secret but its value, by name. Needs the ability to observe. Raises Refused."""
        self._demand(by, "observe", "list secrets")
        return [self._shown(row) for row in await asyncio.to_thread(self._safe.listing)]

    async def _changed(self, name: str, by: Identity, state: str) -> int:
        leaf = self._log.append("secret.changed", {"secret": name, "state": state, "by": by.person.subject})
        await self._log.sync()
        return leaf

    def _shown(self, row: SecretRow) -> Kept:
        users = (
            resource.name
            for resource in self._resources.values()
            if (reference := parse(resource.secret)) and (reference.kind, reference.name) == ("store", row.name)
        )
        return Kept(row.name, row.by, row.changed, row.leaf, tuple(sorted(users)))

    def _demand(self, by: Identity, ability: str, what: str) -> None:
        decision = self._engine.ability(by, GATEWAY, ability)
        if decision.effect is not Effect.ALLOW:
            raise Refused(
                f"you may not {what}",
                rule=", ".join(decision.rules),
                hint=f"It needs `may: [{ability}]` on the resource {GATEWAY.name}.",
                code="policy.refused",
            )
