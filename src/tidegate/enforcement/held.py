"""What a held request asks of people, and what its agent is told. Pure.

The question binds the answer to the exact statements with their values, formats and types, the chain, the resource and
its address, the policy and whom it asks, and to what the upstream says that the names in it mean, in the session it
would run in.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.model.approval import EXPIRED, OPERATION, REJECTED, WITHDRAWN, Held, Question
from tidegate.model.event import Json
from tidegate.model.identity import Grant, Identity
from tidegate.model.operation import Operation, Request
from tidegate.model.resource import Resource
from tidegate.model.verdict import Approvers, Decision, Effect, Refuse

from .trail import readable, sealed_json


class Holding(Protocol):
    """A request and the decisions on its operations, of which at least one holds it."""

    @property
    def request(self) -> Request:
        """What is held."""

    @property
    def decisions(self) -> Sequence[Decision]:
        """One for each operation."""


def question_of(
    identity: Identity, resource: Resource, grant: Grant, sid: str, hold: Holding, context: str
) -> Question:
    """What people are asked; ``context`` is what the upstream said that names mean."""
    operations = hold.request.operations
    holding = [decision for decision in hold.decisions if decision.effect is Effect.HOLD]
    parameters = [op.parameters.decode("utf-8", "backslashreplace") for op in operations if op.parameters]
    approvers = tuple(dict.fromkeys(group for decision in holding for group in decision.approvers))
    bound = sealed_json(
        {**_bound(identity, resource, operations, context), "bundle": holding[0].bundle, "need": _need(approvers)}
    ).decode()
    return Question(
        matter=OPERATION,
        requester=identity,
        resource=resource.name,
        statement=";\n".join(dict.fromkeys(readable(op.facts.text) for op in operations)),
        parameters="\n".join(parameters),
        reason=grant.reason,
        rule=", ".join(dict.fromkeys(rule for decision in holding for rule in decision.rules)),
        because=" ".join(dict.fromkeys(decision.because for decision in holding if decision.because)),
        approvers=approvers,
        within=min(decision.within for decision in holding),
        bound=bound,
        digest=hashlib.sha256(bound.encode()).hexdigest(),
        bundle=holding[0].bundle,
        sid=sid,
        facts=tuple(map(_shown, operations)),
    )


def _bound(identity: Identity, resource: Resource, operations: Sequence[Operation], context: str) -> dict[str, Json]:
    asked: list[Json] = [
        {
            "text": readable(op.facts.text),
            "runs": readable(op.facts.runs),
            "parameters": b64encode(op.parameters).decode(),
            "declared": op.declared.hex(),
            "phase": op.phase,
        }
        for op in operations
    ]
    return {
        "matter": OPERATION,
        "chain": [hop.subject for hop in identity.chain],
        "resource": resource.name,
        "address": str(resource.address),
        "operations": asked,
        "context": context,
    }


def _need(approvers: Sequence[Approvers]) -> list[Json]:
    return [[each.rule, [*each.groups], each.count, each.signed, [*each.escalate], each.after] for each in approvers]


def covers(question: Question, decisions: Sequence[Decision]) -> bool:
    """Whether a yes is still what policy demands: the same policy refuses nothing, and asks nobody else."""
    return all(
        each.effect is not Effect.REFUSE
        and each.bundle == question.bundle
        and set(each.approvers) <= set(question.approvers)
        for each in decisions
    )


def _shown(operation: Operation) -> Mapping[str, object]:
    facts = operation.facts
    names = ("command", "reads", "writes", "details")
    return {"verb": facts.verb.value, **{name: getattr(facts, name) for name in names}}


def pending(held: Held) -> Refuse:
    """The agent has waited long enough; the question stays open."""
    return Refuse(
        "approval.pending",
        held.question.rule,
        f"it still waits for approval {held.id}",
        f"Nothing was executed. Once {held.id} is approved, send exactly the same again: it then runs once. "
        f"Wait for it with: tidegate approvals wait {held.id}",
        held.id,
    )


def no(held: Held) -> Refuse:
    """Why a question that is over lets nothing run."""
    words = {
        REJECTED: ("approval.rejected", f"an approver said no{': ' + held.answer if held.answer else ''}"),
        EXPIRED: ("approval.expired", "nobody approved it in time"),
        WITHDRAWN: ("approval.withdrawn", "the request was cancelled"),
    }
    otherwise = ("approval.void", f"the approval is void{': ' + held.answer if held.answer else ''}")
    code, reason = words.get(held.state, otherwise)
    hint = "Nothing was executed. Ask again if it is still needed."
    return Refuse(code, held.question.rule, reason, hint, held.id)
