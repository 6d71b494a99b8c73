"""Held operations and the people who answer.

A held operation lives in memory with its session: when either is gone, so is the question. The approval is bound by a
digest to the exact statements, parameters, identity chain, resource and policy bundle; it is used once, and the leaf
that says so is durable before anything is forwarded. Nobody in the requester's chain may answer; no time-out approves.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import Refused
from tidegate.model.event import Json
from tidegate.model.identity import Grant, Identity, Kind
from tidegate.model.operation import Request
from tidegate.model.resource import Resource
from tidegate.model.verdict import Approvers, Decision, Effect, Refuse

from .trail import Trail, readable, sealed_json

WAITING, APPROVED, REJECTED, WITHDRAWN, EXPIRED, VOIDED, USED = (
    "waiting",
    "approved",
    "rejected",
    "withdrawn",
    "expired",
    "voided",
    "used",
)


@dataclass(frozen=True, slots=True)
class Held:
    """A held request as an approver must see it; ``digest`` binds the answer to exactly this."""

    id: str
    sid: str
    requester: Identity
    resource: str
    statement: str
    parameters: str
    reason: str
    rule: str
    because: str
    approvers: tuple[Approvers, ...]
    asked: int
    expires: int
    digest: str
    bundle: str
    intents: tuple[int, ...]
    facts: tuple[dict[str, object], ...] = ()
    state: str = WAITING
    approved_by: tuple[str, ...] = ()
    answer: str = ""


@dataclass(slots=True)
class _Case:
    held: Held
    trail: Trail
    answered: asyncio.Future[None]
    yes: dict[str, Identity] = field(default_factory=dict)


class Approvals:
    """Open questions; event loop only. ``told`` is called with every change, for history and notices."""

    def __init__(self, log: Log, clock: Clock, told: Callable[[Held], None]) -> None:
        self._log = log
        self._clock = clock
        self._told = told
        self._cases: dict[str, _Case] = {}

    def waiting(self) -> list[Held]:
        """Every open question, oldest first."""
        return [case.held for case in self._cases.values() if case.held.state == WAITING]

    def get(self, id: str) -> Held | None:
        """One question that is open or just answered."""
        case = self._cases.get(id)
        return case.held if case else None

    # the requester's side

    def request(
        self,
        trail: Trail,
        identity: Identity,
        resource: Resource,
        grant: Grant,
        request: Request,
        decisions: Sequence[Decision],
        intents: Sequence[int],
    ) -> Held:
        """Ask; the question is in the log before anybody sees it."""
        holding = [decision for decision in decisions if decision.effect is Effect.HOLD]
        held = _question(self._clock, trail.sid, identity, resource, grant, request, holding, intents)
        need: list[Json] = [
            {"r": group.rule, "groups": list(group.groups), "count": group.count} for group in held.approvers
        ]
        asked: dict[str, Json] = {"ap": held.id, "of": list(intents), "dg": held.digest, "exp": held.expires}
        trail.append("approval.requested", {**asked, "ph": held.bundle, "need": need}, {"why": grant.reason.encode()})
        self._cases[held.id] = _Case(held, trail, asyncio.get_running_loop().create_future())
        self._told(held)
        return held

    async def answer(self, held: Held, trail: Trail) -> Refuse | None:
        """Wait for the answer: ``None`` for yes, else why not."""
        case = self._cases[held.id]
        try:
            async with asyncio.timeout((held.expires - self._clock.now()) / 1e6):
                await case.answered
        except TimeoutError:
            self._change(case, EXPIRED)
            trail.append("approval.expired", {"ap": held.id})
        except asyncio.CancelledError:
            self.withdraw(held.id)
            raise
        finally:
            if case.held.state != APPROVED:
                self._cases.pop(held.id, None)
        return None if case.held.state == APPROVED else _no(case.held)

    def void(self, held: Held, trail: Trail, reason: str) -> Refuse:
        """An approval that no longer covers what would happen."""
        case = self._cases.pop(held.id)
        self._change(case, VOIDED, reason)
        trail.append("approval.voided", {"ap": held.id})
        return _no(case.held)

    async def use(self, held: Held, trail: Trail) -> None:
        """Consume a yes; durable when this returns. A second use is refused."""
        case = self._cases.pop(held.id, None)
        if case is None or case.held.state != APPROVED or case.held.digest != held.digest:
            raise Refused("the approval was used before or does not cover this", code="approval.void")
        trail.append("approval.used", {"ap": held.id, "dg": held.digest, "of": list(held.intents)})
        self._change(case, USED)
        await self._log.sync()

    def withdraw(self, id: str) -> None:
        """The requester cancels, leaves, or is cut off."""
        case = self._cases.get(id)
        if case is not None and case.held.state == WAITING:
            case.trail.append("approval.withdrawn", {"ap": id})
            self._change(case, WITHDRAWN)
            _wake(case)

    # the approver's side

    async def shown(self, id: str, by: Identity) -> Held | None:
        """An approver looks at the exact request; that is a fact of its own."""
        case = self._cases.get(id)
        if case is None:
            return None
        case.trail.append("approval.shown", {"ap": id, "by": by.person.subject, "dg": case.held.digest})
        await self._log.sync()
        return case.held

    async def approve(self, id: str, by: Identity) -> Held:
        """One yes; the last one needed lets the operation go. Raises Refused."""
        case = self._open(id)
        may_answer(case.held, by)
        if by.person.subject in case.yes:
            raise Refused("you have approved this already", code="approval.repeated")
        groups = set(by.person.groups)
        counts: list[Json] = [group.rule for group in case.held.approvers if groups & set(group.groups)]
        granted: dict[str, Json] = {"ap": id, "by": by.person.subject, "dg": case.held.digest, "for": counts}
        case.trail.append("approval.granted", granted)
        case.yes[by.person.subject] = by
        await self._log.sync()
        if case.held.state not in (WAITING, APPROVED):
            raise Refused(f"the request is {case.held.state}", code="approval.closed")
        names = (*case.held.approved_by, by.person.name)
        complete = satisfied(case.held.approvers, list(case.yes.values()))
        self._change(case, APPROVED if complete else case.held.state, approved_by=names)
        if complete:
            _wake(case)
        return case.held

    async def refuse(self, id: str, by: Identity, reason: str) -> Held:
        """A no ends the question. Raises Refused."""
        case = self._open(id)
        may_answer(case.held, by)
        case.trail.append("approval.rejected", {"ap": id, "by": by.person.subject}, {"why": reason.encode()})
        self._change(case, REJECTED, reason)
        _wake(case)
        await self._log.sync()
        return case.held

    def _open(self, id: str) -> _Case:
        case = self._cases.get(id)
        if case is None or case.held.state != WAITING:
            raise Refused("no such request is waiting", hint="See: tidegate approvals ls", code="approval.unknown")
        return case

    def _change(self, case: _Case, state: str, answer: str = "", approved_by: tuple[str, ...] | None = None) -> None:
        names = case.held.approved_by if approved_by is None else approved_by
        case.held = replace(case.held, state=state, answer=answer, approved_by=names)
        self._told(case.held)


def _wake(case: _Case) -> None:
    if not case.answered.done():
        case.answered.set_result(None)


def may_answer(held: Held, by: Identity) -> None:
    """Raises Refused unless ``by`` is a person outside the requester's chain in one of the approvers' groups."""
    if len(by.chain) != 1 or by.person.kind is not Kind.USER:
        raise Refused("only a person answers for themselves", rule="tidegate.approver", code="approval.person")
    if by.subjects & held.requester.subjects:
        raise Refused(
            "nobody in the requester's own chain may answer",
            rule="tidegate.approver",
            hint="Ask somebody else of the approvers' group.",
            code="approval.self",
        )
    if not any(set(by.person.groups) & set(group.groups) for group in held.approvers):
        raise Refused("you are not among the approvers that the rule names", rule=held.rule, code="approval.group")


def satisfied(approvers: Sequence[Approvers], yes: Sequence[Identity]) -> bool:
    """Whether every rule has its number of different people."""
    return all(
        sum(1 for person in yes if set(person.person.groups) & set(rule.groups)) >= rule.count for rule in approvers
    )


def _question(
    clock: Clock,
    sid: str,
    identity: Identity,
    resource: Resource,
    grant: Grant,
    request: Request,
    holding: Sequence[Decision],
    intents: Sequence[int],
) -> Held:
    now = clock.now()
    patience = min(decision.within for decision in holding) * 1_000_000
    approvers = tuple(dict.fromkeys(group for decision in holding for group in decision.approvers))
    rules = dict.fromkeys(rule for decision in holding for rule in decision.rules)
    parameters = [op.parameters.decode("utf-8", "backslashreplace") for op in request.operations if op.parameters]
    return Held(
        id=clock.name("ap"),
        sid=sid,
        requester=identity,
        resource=resource.name,
        statement=";\n".join(dict.fromkeys(readable(op.facts.text) for op in request.operations)),
        parameters="\n".join(parameters),
        reason=grant.reason,
        rule=", ".join(rules),
        because=" ".join(dict.fromkeys(decision.because for decision in holding if decision.because)),
        approvers=approvers,
        asked=now,
        expires=min(now + patience, grant.expires),
        digest=_digest(identity, resource, request, holding[0].bundle),
        bundle=holding[0].bundle,
        intents=tuple(intents),
        facts=tuple(_shown(op.facts.verb.value, op.facts) for op in request.operations),
    )


def _shown(verb: str, facts: object) -> dict[str, object]:
    names = ("command", "reads", "writes", "details")
    return {"verb": verb, **{name: getattr(facts, name) for name in names}}


def _digest(identity: Identity, resource: Resource, request: Request, bundle: str) -> str:
    """Binds chain, resource, policy, raw bytes, and each statement with its parameters."""
    operations: list[Json] = [
        [readable(op.facts.text), hashlib.sha256(op.parameters).hexdigest(), op.phase] for op in request.operations
    ]
    bound = {
        "chain": [hop.subject for hop in identity.chain],
        "resource": resource.name,
        "address": str(resource.address),
        "bundle": bundle,
        "raw": hashlib.sha256(request.raw).hexdigest(),
        "operations": operations,
    }
    return hashlib.sha256(sealed_json(bound)).hexdigest()


def _no(held: Held) -> Refuse:
    words = {
        REJECTED: ("approval.rejected", f"an approver said no{': ' + held.answer if held.answer else ''}"),
        EXPIRED: ("approval.expired", "nobody approved it in time"),
        WITHDRAWN: ("approval.withdrawn", "the request was cancelled"),
        VOIDED: ("approval.void", f"the approval is void: {held.answer}"),
    }
    code, reason = words.get(held.state, ("approval.void", "the approval is void"))
    return Refuse(code, held.rule, reason, "Nothing was executed. Ask again if it is still needed.", held.id)
