"""Who stands behind the tokens of an exchange (RFC 8693): for whom it is, and who is to act.

For whom: a person, by a login token of ours or an ID token of a login provider; a workload with who answers for it, by
its own token; or a whole chain, by a token of ours for the same resource. Who acts: a workload by its own token, or an
agent or service by a token of ours for the same resource that stands for nobody else.

Invariants: a token proves its own subject and nothing else of what it says; nothing that it rests on was revoked; a
token for one resource gives none for another; whoever acts is no person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.errors import AgentError
from tidegate.identity.assertions import Assertions
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Issuer, ours
from tidegate.identity.workloads import Workloads
from tidegate.model.identity import Hop, Identity
from tidegate.model.resource import Resource

from .access import LOGIN, Access
from .admission import Admission, ended, of_bound
from .revocations import Revocations

EXCHANGED = "exchange"
"""How a hop was proven by a token of ours that it brought along (``Hop.proof``)."""


@dataclass(frozen=True, slots=True)
class Party:
    """The hops that a token proves, until when (Unix seconds), and the ids that a token made of it ends with.

    ``claims`` are those of somebody else's token.
    """

    hops: tuple[Hop, ...]
    expires: int
    via: tuple[str, ...]
    claims: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subjects(self) -> list[str]:
        """By subject."""
        return [hop.subject for hop in self.hops]

    @property
    def proofs(self) -> list[str]:
        """How each was proven."""
        return [hop.proof for hop in self.hops]


class Parties:
    """Event loop only. ``known`` gives the person whom a provider calls so, by subject, or an empty text."""

    def __init__(
        self,
        *,
        access: Access,
        admission: Admission,
        issuer: Issuer,
        directory: Directory,
        workloads: Workloads,
        assertions: Assertions,
        known: Callable[[str, str], Awaitable[str]],
        revocations: Revocations,
    ) -> None:
        self._access = access
        self._admission = admission
        self._issuer = issuer
        self._directory = directory
        self._workloads = workloads
        self._assertions = assertions
        self._known = known
        self._revocations = revocations

    async def subject(self, token: str, resource: str, target: Resource | None) -> Party:
        """For whom. Raises AgentError, Refused, ResourceError."""
        if ours(token):
            if self._is_login(token):
                caller = await asyncio.to_thread(self._access.verified, token)
                return Party((caller.identity.person,), caller.claims.expires, (caller.claims.id,))
            return await self._carried(token, resource, target)
        provider = self._assertions.meant(token)
        return await self._person(token, provider) if provider else await self._workload(token, resource)

    async def actor(self, token: str, resource: str, target: Resource | None) -> Party:
        """Who is to act, as a chain of one. Raises AgentError, Refused, ResourceError."""
        if not ours(token):
            party = await self._workload(token, resource)
            return Party(party.hops[-1:], party.expires, party.via, party.claims)
        party = await self._carried(token, resource, target)
        if len(party.hops) != 2 or party.hops[1].owner != party.hops[0].subject:
            raise AgentError(
                "the actor's token stands for others too",
                hint="Present one of the agent that is to act, which its owner minted or it got for itself.",
                code="exchange.actor",
            )
        acting = party.hops[1]
        return Party((replace(acting, proof=EXCHANGED),), party.expires, party.via)

    def _is_login(self, token: str) -> bool:
        try:
            self._issuer.verify(token, LOGIN)
        except AgentError as error:
            if error.code == "token.audience":
                return False
            raise
        return True

    async def _carried(self, token: str, resource: str, target: Resource | None) -> Party:
        """A token of ours for this resource, as good as at the door."""
        claims = self._issuer.verify(token, f"resource:{resource}")
        admitted = await self._admission.of(token, target)
        via = (*claims.via, claims.id, claims.grant)
        return Party(admitted.identity.chain, min(claims.expires, admitted.grant.expires // 1_000_000), via)

    async def _workload(self, token: str, resource: str) -> Party:
        presented = await self._workloads.verify(token, resource)
        bound = await asyncio.to_thread(self._workloads.bound, presented)
        identity = await asyncio.to_thread(self._directory.answering, bound.subject, presented.proof)
        self._live(of_bound(presented, bound) | identity.rests, identity, resource, presented.issued)
        return Party(identity.chain, presented.expires, (presented.id, bound.link), presented.claims)

    async def _person(self, token: str, provider: str) -> Party:
        asserted = await self._assertions.verify(token, provider)
        subject = await self._known(provider, asserted.subject)
        if not subject:
            raise AgentError(
                "nobody of the directory is who the provider says", hint="Log in once first.", code="identity.unbound"
            )
        identity = await asyncio.to_thread(self._directory.resolve, (subject,), (asserted.proof,))
        self._live(identity.rests, identity, "", asserted.issued)
        return Party(identity.chain, asserted.expires, (), asserted.claims)

    def _live(self, names: frozenset[str], identity: Identity, resource: str, issued: int) -> None:
        """Raise AgentError ``token.revoked`` for what was ended by its name, or by the kill switch after its issue.

        A login is not one to a ``resource``: what ends that does not end it.
        """
        barred = self._revocations.barred(identity.rests, resource, issued=issued)
        if barred or any(name in self._revocations for name in names):
            raise ended()
