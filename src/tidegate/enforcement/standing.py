"""Standing access: policy gives an agent or service a grant on the spot, without a request, and it is reported as such.

A grant that was asked for comes first. A standing one is in the log and durable before anything opens with it, and is
over with the credential at the latest. A workload that connects often gets few: one that has half of what a new one
would last is used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.model.event import Json
from tidegate.model.identity import STANDING, Grant, Identity
from tidegate.model.resource import Resource
from tidegate.policy.engine import Engine
from tidegate.store.rows import GrantRow, Store

from .admission import given, lives, missing
from .grants import Grants
from .revocations import LONGEST_GRANT, Revocations

SECOND = 1_000_000


class Standing:
    """Gives grants by rules that say ``standing``; in the process that has the gateway's own log. Event loop only."""

    def __init__(
        self, log: Log, store: Store, engine: Engine, clock: Clock, revocations: Revocations, grants: Grants
    ) -> None:
        self._grants = grants
        self._log = log
        self._store = store
        self._engine = engine
        self._clock = clock
        self._revocations = revocations
        self._one_at_a_time = asyncio.Lock()

    async def standing(self, identity: Identity, resource: Resource, *, token: str, until: int) -> Grant:
        """As ``admission.Grantor``. Raises Refused ``grant.missing``, LogFailure."""
        asked = await self._grants.take(identity, resource.name)
        if asked is not None:
            return given(asked)
        if not self._engine.standing(identity, resource):
            raise missing()
        async with self._one_at_a_time:
            now = self._clock.now()
            longest = min(self._engine.longest(identity, resource, "connect") * SECOND, LONGEST_GRANT)
            end = min(now + longest, until * SECOND)
            chain = tuple(hop.subject for hop in identity.chain)
            rows = await asyncio.to_thread(self._store.live_grants, chain, resource.name, now)
            live = [row for row in rows if lives(row, identity, self._revocations)]
            return self._again(live, now, end) or await self._give(identity, chain, resource, token, end)

    def _again(self, rows: Sequence[GrantRow], now: int, end: int) -> Grant | None:
        """The grant that serves once more: of this kind, not longer than a new one would, nor much shorter."""
        for row in rows:
            enough = now + (end - now) // 2 <= row.expires <= end
            if row.kind == STANDING and enough:
                return given(row)
        return None

    async def _give(
        self, identity: Identity, chain: tuple[str, ...], resource: Resource, token: str, end: int
    ) -> Grant:
        rule = ", ".join(self._engine.ability(identity, resource, "connect").rules)
        id = self._clock.name("g")
        fields: dict[str, Json] = {
            "gid": id,
            "sub": identity.person.subject,
            "act": list(chain),
            "prf": [hop.proof for hop in identity.chain],
            "res": resource.name,
            "exp": end,
            "rule": rule,
            "ph": self._engine.bundle.sha256,
            "by": identity.actor.subject,
            "jti": token,
            "kind": STANDING,
            "standing": True,
        }
        private = {"why": b"", "who": identity.title.encode()}
        leaf = self._log.append("grant.activated", fields, private=private)
        await self._log.sync()
        row = GrantRow(id, chain, resource.name, end, rule, "", "active", leaf, STANDING)
        await asyncio.to_thread(self._store.put_grant, row)
        return given(row)
