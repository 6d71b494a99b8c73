"""/api/v1/policy: what would happen to a statement, and why. Nothing is executed."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from tidegate.errors import Refused
from tidegate.model.identity import Identity
from tidegate.model.operation import Facts
from tidegate.policy.explain import Explanation as Reasons
from tidegate.policy.explain import explain as explained

from .services import ApiServices, By, Services
from .shapes import Explained, Explanation, Question
from .shown import safe

router = APIRouter(prefix="/policy", tags=["policy"])


@router.post("/explain")
async def explain(at: Services, by: By, body: Question) -> Explanation:
    """Say what policy would do: about oneself and one's own agents, or about anybody for who observes the gateway."""
    if body.resource not in at.settings.resources:
        raise Refused("There is no such resource.", code="resource.unknown", hint="Names are in tidegate.yaml.")
    person, _, agent = body.identity.partition("/")
    identity = await at.access.chain(person, agent or None)
    if identity.person.subject != by.identity.person.subject:
        at.demand(by.identity, "observe", "ask about others")
    found = await at.classify(body.resource, body.statement)
    operations = await asyncio.to_thread(_explain, at, identity, body.resource, found)
    return Explanation(bundle=at.engine.bundle.sha256, operations=operations)


def _explain(at: ApiServices, identity: Identity, resource: str, found: tuple[Facts, ...]) -> list[Explained]:
    return [_one(explained(at.engine, identity, at.settings.resources[resource], facts), facts) for facts in found]


def _one(explanation: Reasons, facts: Facts) -> Explained:
    decision = explanation.decision
    return Explained(
        statement=safe(facts.text, lines=True),
        effect=decision.effect.value,
        rules=list(decision.rules),
        because=decision.because or safe(facts.reason),
        mask=sorted(decision.mask),
        unmask=sorted(decision.unmask),
        lines=[str(line) for line in explanation.lines],
    )
