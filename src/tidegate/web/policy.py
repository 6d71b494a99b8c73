"""/api/v1/policy: what is in force, what is proposed, and what would happen to a statement, and why."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import APIRouter

from tidegate.enforcement.access import Caller
from tidegate.errors import Refused
from tidegate.model.identity import Identity
from tidegate.model.operation import Facts
from tidegate.model.verdict import Effect
from tidegate.policy.explain import Explanation as Reasons
from tidegate.policy.explain import explain as explained

from .approvals import held_view
from .services import ApiServices, By, Services
from .shapes import Answer, Explained, Explanation, HeldView, PolicyInForce, Question
from .shown import safe

router = APIRouter(prefix="/policy", tags=["policy"])


@router.get("")
async def in_force(at: Services, by: By) -> PolicyInForce:
    """Say which policy is in force, how another may come about, and what the files said that nobody approved."""
    at.demand(by.identity, "observe", "ask which policy is in force")
    mandate, refused = at.mandate, at.mandate.refused
    return PolicyInForce(
        policy=at.engine.bundle.sha256,
        configuration=mandate.configuration,
        mode=mandate.mode,
        locked=not mandate.unlocked.is_set(),
        refused=list(refused) if refused else [],
        rules=[orjson.loads(orjson.dumps(rule)) for rule in at.engine.bundle.rules],
    )


@router.post("/proposals", status_code=201)
async def propose(at: Services, by: By, body: Answer) -> HeldView:
    """Propose what the files say now; it takes effect when other people have approved it (`two-person` only)."""
    at.demand(by.identity, "operate", "propose a policy")
    return held_view(await at.mandate.propose(by.identity, body.reason), by.identity)


@router.post("/explain")
async def explain(at: Services, by: By, body: Question) -> Explanation:
    """Say what policy would do: about oneself and one's own agents, or about anybody for who observes the gateway."""
    person, _, agent = body.identity.partition("/")
    if person != by.identity.person.name:
        at.demand(by.identity, "observe", "ask about others")
    identity = await at.access.chain(person, agent or None)
    if not _may_know(at, by, identity, body.resource):
        raise Refused(
            "There is no such resource that you may use.",
            hint="Everybody in the chain needs a rule with `may: [connect]`.",
            code="resource.unknown",
        )
    found = await at.classify(body.resource, body.statement)
    operations = await asyncio.to_thread(_explain, at, identity, body.resource, found)
    return Explanation(bundle=at.engine.bundle.sha256, operations=operations)


def _may_know(at: ApiServices, by: Caller, identity: Identity, name: str) -> bool:
    """Whether there is such a resource, for who observes the gateway, or for a chain that may connect to it."""
    target = at.settings.resources.get(name)
    if target is None or at.may(by.identity, "observe"):
        return target is not None
    return at.engine.ability(identity, target, "connect").effect is not Effect.REFUSE


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
