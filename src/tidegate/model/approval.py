"""Approvals: one object for all that people are asked, be it a single operation, a grant, or a policy.

``bound`` is the canonical JSON text of exactly what is asked; its SHA-256, the ``digest``, is what the answer is about.
An approval is used once. States: ``waiting`` leads to ``approved``, ``rejected``, ``withdrawn``, ``expired`` or
``voided``; ``approved`` to ``used``, ``expired`` or ``voided``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .identity import Identity
from .verdict import Approvers

OPERATION, GRANT, POLICY = "operation", "grant", "policy"
"""What can be asked for."""

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
class Question:
    """What is asked of people; ``within`` are the seconds that a yes may take, and that it may then be kept.

    ``facts`` are what policy looked at, for people to read; ``sid`` is the session that asks first, if any.
    """

    matter: str
    requester: Identity
    resource: str
    statement: str
    parameters: str
    reason: str
    rule: str
    because: str
    approvers: tuple[Approvers, ...]
    within: int
    bound: str
    digest: str
    bundle: str
    sid: str = ""
    facts: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One person's yes: who, when (Unix microseconds), by what proof, and the SHA-256 of what they had been shown."""

    subject: str
    name: str
    groups: tuple[str, ...]
    moment: int
    method: str
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A question on its way: ``asked`` and ``expires`` in Unix microseconds; ``answer`` is the reason of a no.

    ``escalated`` are the seconds after which a rule's further groups may answer by now, 0 if none may yet.
    """

    id: str
    question: Question
    asked: int
    expires: int
    state: str = WAITING
    yes: tuple[Answer, ...] = field(default=())
    answer: str = ""
    escalated: int = 0

    def groups(self, wanted: Approvers) -> tuple[str, ...]:
        """Whose people count for one of its rules by now."""
        return (*wanted.groups, *wanted.escalate) if 0 < wanted.after <= self.escalated else wanted.groups
