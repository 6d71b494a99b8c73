"""What a credential is worth: who comes with it, by which grant, and what would end it.

Three kinds of credential are understood: a token of ours, a client certificate that says what one says, and a
workload's own token. A token of ours carries its grant. A workload's token does not: it needs a live grant for exactly
its chain and resource, or a rule that gives standing access.

Invariants: nothing that the credential rests on has been revoked, be it a token, a link, a grant or an identity; policy
in force lets the whole chain connect; a workload without a grant learns nothing of which resources there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Claims, Issuer, ours
from tidegate.identity.keysets import unsigned
from tidegate.identity.workloads import Bound, Presented, Workloads
from tidegate.model.identity import BREAKGLASS, STANDING, Grant, Identity
from tidegate.model.resource import Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.store.rows import GrantRow, Store

from .revocations import Revocations
from .terms import ask_first


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who comes, by which grant; ``token`` is the credential's id, ``rests`` are all ids that end it when revoked.

    ``issued`` (Unix seconds) is when somebody else issued the credential, None for one of ours.
    """

    token: str
    identity: Identity
    grant: Grant
    rests: frozenset[str]
    issued: int | None = None


class Grantor(Protocol):
    """Who gives standing access: this process, or the supervisor for all workers."""

    async def standing(self, identity: Identity, resource: Resource, *, token: str, until: int) -> Grant:
        """A grant by a rule that says so, over by ``until`` (Unix seconds). Raises Refused ``grant.missing``."""


class Admission:
    """Event loop only; what blocks runs in threads."""

    def __init__(
        self,
        *,
        issuer: Issuer,
        directory: Directory,
        engine: Engine,
        store: Store,
        workloads: Workloads,
        grants: Grantor,
        revocations: Revocations,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._directory = directory
        self._engine = engine
        self._store = store
        self._workloads = workloads
        self._grants = grants
        self._revocations = revocations
        self._clock = clock

    async def of(self, credential: str | bytes, resource: Resource | None, named: str = "") -> Admitted:
        """What a token, or a certificate in DER, is worth here. Raises AgentError, Refused, ResourceError.

        ``named`` is what the agent calls a resource that is not there.
        """
        if isinstance(credential, str) and self._workloads and not ours(credential):
            admitted, target = await self._workload(credential, resource, named)
        else:
            admitted, target = await self._ours(credential, resource)
        self.check(admitted)
        self._connects(admitted, target)
        return admitted

    def check(self, admitted: Admitted) -> None:
        """Raise AgentError ``token.revoked`` once anything it rests on is, or a kill switch ended what was before."""
        self._live(admitted.rests)
        chain, resource = admitted.identity.rests, admitted.grant.resource
        barred = self._revocations.barred
        if barred(chain, resource, issued=0, leaf=admitted.grant.leaf) or (
            admitted.issued is not None and barred(chain, resource, issued=admitted.issued)
        ):
            raise ended()

    async def _ours(self, credential: str | bytes, resource: Resource | None) -> tuple[Admitted, Resource]:
        audience = f"resource:{resource.name}" if resource else "resource:"
        if isinstance(credential, str):
            claims = self._issuer.verify(credential, audience)
        else:
            claims = self._issuer.verify_certificate(credential, audience)
        if resource is None:
            raise AgentError("the token is for another resource", code="token.audience")
        self._live(of_claims(claims))
        identity = await asyncio.to_thread(self._directory.identity, claims)
        if isinstance(credential, bytes):
            identity = Identity((*identity.chain[:-1], replace(identity.actor, proof="certificate")))
        rests = of_claims(claims) | identity.rests
        row = await asyncio.to_thread(self._store.grant, claims.grant) if claims.grant else None
        return Admitted(claims.id, identity, self._carried(row, claims, resource), rests), resource

    def _carried(self, row: GrantRow | None, claims: Claims, resource: Resource) -> Grant:
        if row is not None and row.state == "revoked":
            raise ended()
        if row is None or row.state not in ("active", "expired"):
            raise Refused("there is no grant for this token", hint=ask_first(resource.name), code="grant.missing")
        if tuple(row.subjects) != claims.chain or row.resource != resource.name:
            raise Refused("the grant is not for this identity and resource", code="grant.mismatch")
        if row.state == "expired" or row.expires <= self._clock.now():
            raise Refused("the grant has expired", hint=ask_first(resource.name), code="grant.expired")
        return given(row)

    async def asks(self, token: str, resource: str) -> Identity:
        """Whose a workload's own token for ``resource`` is: they may ask for a grant. Raises as ``of``."""
        if not self._workloads:
            raise unsigned()
        return (await self._bound(token, resource))[0]

    async def _bound(self, token: str, resource: str) -> tuple[Identity, frozenset[str], Presented]:
        presented = await self._workloads.verify(token, resource)
        bound = await asyncio.to_thread(self._workloads.bound, presented)
        rests = of_bound(presented, bound)
        self._live(rests)
        identity = await asyncio.to_thread(self._directory.answering, bound.subject, presented.proof)
        rests |= identity.rests
        self._live(rests)
        return identity, rests, presented

    async def _workload(self, token: str, resource: Resource | None, named: str) -> tuple[Admitted, Resource]:
        identity, rests, presented = await self._bound(token, resource.name if resource else named)
        if resource is None:
            raise missing()
        grant = await self._granted(identity, resource, presented)
        return Admitted(presented.id, identity, grant, rests | {grant.id}, presented.issued), resource

    async def _granted(self, identity: Identity, resource: Resource, presented: Presented) -> Grant:
        """The live grant for exactly this chain that lasts longest; without one, a standing one."""
        chain = [hop.subject for hop in identity.chain]
        rows = await asyncio.to_thread(self._store.live_grants, chain, resource.name, self._clock.now())
        for row in rows:
            if row.kind != STANDING and lives(row, identity, self._revocations):
                return given(row)
        return await self._grants.standing(identity, resource, token=presented.id, until=presented.expires)

    def _connects(self, admitted: Admitted, resource: Resource) -> None:
        """Policy in force lets the chain connect; where people must say yes, this very grant is theirs."""
        identity, grant = admitted.identity, admitted.grant
        decision = self._engine.ability(identity, resource, "connect")
        waited = decision.effect is Effect.HOLD and (grant.approval or grant.kind == BREAKGLASS)
        if decision.effect is not Effect.ALLOW and not waited:
            raise Refused(
                f"{identity.title} may not connect to {resource.name}",
                rule=decision.rules[0],
                hint=decision.hint or "Ask for a rule that lets everybody in the chain connect.",
                code="policy.refused",
            )

    def _live(self, names: Iterable[str]) -> None:
        if any(name in self._revocations for name in names):
            raise ended()


def of_claims(claims: Claims) -> frozenset[str]:
    """Everything in a token of ours whose end is the token's."""
    return frozenset((claims.id, claims.grant, *claims.via, *claims.chain)) - {""}


def of_bound(presented: Presented, bound: Bound) -> frozenset[str]:
    """Everything about a workload's token whose end is the token's."""
    return frozenset((presented.id, bound.link, bound.subject))


def given(row: GrantRow) -> Grant:
    """A grant as sessions know it."""
    return Grant(
        row.id, tuple(row.subjects), row.resource, row.expires, row.rule, row.reason, row.leaf, row.kind, row.approval
    )


def lives(row: GrantRow, identity: Identity, revocations: Revocations) -> bool:
    """Whether a grant that the store calls active was neither revoked nor ended by a kill switch."""
    barred = revocations.barred(identity.rests, row.resource, issued=0, leaf=row.leaf)
    return row.id not in revocations and not barred


def ended() -> AgentError:
    """What is said of a credential that was good once."""
    return AgentError("the token was revoked", hint="Ask for a new one.", code="token.revoked")


def missing() -> Refused:
    """What a workload without a grant hears, whether or not there is such a resource."""
    return Refused(
        "there is no grant for this identity and resource",
        hint="Ask for access: tidegate request new RESOURCE --reason WHY, or POST /api/v1/requests.",
        code="grant.missing",
    )
