"""The terms of a grant: who, what, how long, why; what people are asked, and what policy says to them. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tidegate.errors import Refused
from tidegate.model.approval import GRANT, Question
from tidegate.model.event import Json
from tidegate.model.identity import Identity
from tidegate.model.resource import Address, Resource
from tidegate.model.verdict import Decision, Effect
from tidegate.policy.engine import Engine

from .revocations import LONGEST_GRANT
from .trail import sealed_json

SHORTEST = 10
"""Seconds that a grant lasts at least."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for: ``seconds`` count from the approval on. ``decision`` is policy's answer."""

    identity: Identity
    resource: str
    seconds: int
    reason: str
    decision: Decision

    @property
    def chain(self) -> tuple[str, ...]:
        """By subjects."""
        return tuple(hop.subject for hop in self.identity.chain)

    @property
    def rules(self) -> str:
        """The rules that decided."""
        return ", ".join(self.decision.rules)

    @property
    def fields(self) -> dict[str, Json]:
        """For leaves."""
        return {
            "sub": self.chain[0],
            "act": list(self.chain),
            "prf": [hop.proof for hop in self.identity.chain],
            "res": self.resource,
            "rule": self.rules,
            "ph": self.decision.bundle,
        }

    @property
    def sealed(self) -> dict[str, bytes]:
        """For compartments of leaves."""
        return {"why": self.reason.encode(), "who": self.identity.title.encode()}


def terms(
    engine: Engine, identity: Identity, target: Resource | None, name: str, seconds: int, reason: str,
    *, verb: str = "connect", most: int = LONGEST_GRANT // 1_000_000,
) -> Terms:  # fmt: skip
    """What policy lets the chain ask for. Raises Refused ``policy.refused`` with the rule, ``grant.long``.

    Of a resource that is not there nobody hears anything else than of one that no rule gives them; who may use every
    resource hears ``resource.unknown``.
    """
    decision = engine.ability(identity, target or Resource(name, "", Address("", 0)), verb)
    if decision.effect is Effect.REFUSE:
        raise Refused(
            f"{identity.title} may not {'connect to' if verb == 'connect' else 'break the glass of'} {name}",
            rule=", ".join(decision.rules),
            hint=decision.hint or f"Everybody in the chain needs a rule with `may: [{verb}]`.",
            code="policy.refused",
        )
    if target is None:
        raise Refused(f"there is no resource {name}", hint="Names are in tidegate.yaml.", code="resource.unknown")
    longest = min(engine.longest(identity, target, verb), most)
    if not SHORTEST <= seconds <= longest:
        raise Refused(
            f"access to {name} is given for {SHORTEST} to {longest} seconds, not {seconds}",
            rule=", ".join(decision.rules),
            hint=f"Ask for {longest}s at most.",
            code="grant.ttl",
        )
    return Terms(identity, name, seconds, reason, decision)


def question(asked: Terms) -> Question:
    """What people are asked; the digest is over the terms, and the policy that asks."""
    decision = asked.decision
    bound = sealed_json(
        {
            "v": 1,
            "matter": GRANT,
            "act": list(asked.chain),
            "res": asked.resource,
            "secs": asked.seconds,
            "why": asked.reason,
            "ph": decision.bundle,
        }
    ).decode()
    return Question(
        matter=GRANT,
        requester=asked.identity,
        resource=asked.resource,
        statement=f"Connect to {asked.resource} for {lasting(asked.seconds)}, from the approval on.",
        parameters="",
        reason=asked.reason,
        rule=asked.rules,
        because=decision.because,
        approvers=decision.approvers,
        within=decision.within,
        bound=bound,
        digest=hashlib.sha256(bound.encode()).hexdigest(),
        bundle=decision.bundle,
    )


def lasting(seconds: int) -> str:
    """``1h 30m``, ``45s``."""
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def ask_first(resource: str, agent: str = "") -> str:
    """What to do about a missing grant, for people and for agents."""
    option = f" --agent {agent}" if agent else ""
    return (
        f"Ask for it: tidegate request new {resource} --for 30m --reason WHY{option}, or POST /api/v1/requests with"
        f' {{"resource": "{resource}", "seconds": 1800, "reason": "..."}}.'
    )
