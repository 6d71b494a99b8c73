"""Token exchange (RFC 8693): tokens of those concerned in, a short token of ours for one resource out.

The one that acts is added to the chain of the one for whom it acts, each with how it was proven, so that an agent may
act for a person who does not own it only where both have presented a token. Rights are the intersection along the chain
(docs/adr/0003), and no owner of a hop may ever approve. The new token lives minutes, ends no later than what it was
made of, and ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import CHAIN_LIMIT, VIA_LIMIT
from tidegate.model.identity import Kind
from tidegate.model.resource import Resource
from tidegate.policy.engine import Engine

from .access import Access, Minted
from .pace import Pace
from .parties import Parties, Party
from .terms import SHORTEST

LIFE = 900
"""Seconds that an exchanged token lives at most."""

BURST, RATE = 30, 30
"""Tokens that one who acts gets at once, and a minute."""


class Exchange:
    """Event loop only."""

    def __init__(
        self,
        parties: Parties,
        access: Access,
        directory: Directory,
        engine: Engine,
        resources: Mapping[str, Resource],
        clock: Clock,
        *,
        failures: Callable[[str, str], None],
    ) -> None:
        self._parties = parties
        self._access = access
        self._directory = directory
        self._engine = engine
        self._resources = resources
        self._clock = clock
        self._failures = failures
        self._pace = Pace(clock, burst=BURST, rate=RATE)

    async def exchange(
        self, subject: str, actor: str, resource: str, *, reason: str = "", key: str = "", peer: str = ""
    ) -> Minted:
        """The token for ``actor`` (empty: nobody further) acting for ``subject`` on a resource.

        With ``key``, a public key (PEM), a certificate for it takes the token's place. Raises AgentError, Refused,
        ResourceError.
        """
        try:
            party = await self._party(subject, actor, resource)
            identity = await asyncio.to_thread(self._directory.resolve, party.subjects, party.proofs)
        except (AgentError, Refused) as error:
            self._failures(error.code, peer)
            raise
        self._pace.take(identity.actor.subject)
        target = self._resources.get(resource)
        longest = self._engine.longest(identity, target, "connect") if target else 0
        ttl = min(LIFE, party.expires - self._clock.now() // 1_000_000, longest or LIFE)
        if ttl < SHORTEST:
            raise AgentError("the tokens end too soon", hint="Present fresh ones.", code="token.expired")
        by = identity.actor.subject
        return await self._access.issue(identity, resource, ttl, by=by, reason=reason, key=key, via=party.via)

    async def _party(self, subject: str, actor: str, resource: str) -> Party:
        """Everybody concerned, in the order in which they act for each other."""
        target = self._resources.get(resource)
        party = await self._parties.subject(subject, resource, target)
        if actor:
            acting = await self._parties.actor(actor, resource, target)
            _allowed(party.claims, acting.claims)
            return _joined(party, acting)
        if not _acts_alone(party):
            raise AgentError(
                "nobody is there who would act",
                hint="Send actor_token: the token of the agent. A person needs `tidegate connect` and a fresh proof.",
                code="exchange.actor",
            )
        return party


def _acts_alone(party: Party) -> bool:
    """Whether a token may be exchanged without an actor: a workload's own, for the chain that it opens anyway."""
    return bool(party.claims) and party.hops[-1].kind is not Kind.USER


def _joined(party: Party, acting: Party) -> Party:
    hops = (*party.hops, *acting.hops)
    via = tuple(dict.fromkeys((*party.via, *acting.via)))
    if len(hops) > CHAIN_LIMIT or len(via) > VIA_LIMIT:
        raise Refused(
            f"a chain has {CHAIN_LIMIT} hops at most", hint="Begin with an earlier token.", code="exchange.chain"
        )
    return Party(hops, min(party.expires, acting.expires), via)


def _says(claims: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in claims and claims[name] == value for name, value in wanted.items())


def _allowed(subject: Mapping[str, Any], actor: Mapping[str, Any]) -> None:
    """A token that says who may act for its subject (``may_act``, RFC 8693 section 4.4) lets nobody else."""
    if "may_act" not in subject:
        return
    named = subject["may_act"]
    # A name is its issuer's: without one the subject's own is meant, or another issuer could give the name away.
    if not isinstance(named, dict) or not named or not _says(actor, {"iss": subject.get("iss"), **named}):
        raise AgentError(
            "the subject's token lets somebody else act", hint="Its may_act says whom.", code="exchange.may_act"
        )
