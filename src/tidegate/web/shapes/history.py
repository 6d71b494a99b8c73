"""Sessions, operations, leaves and policies, as they are told."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .base import Asked, Given


class Question(Asked):
    """What would happen to ``statement``; ``identity`` is a name or PERSON/AGENT."""

    identity: str
    resource: str
    statement: Annotated[str, Field(max_length=32_768)]


class SessionShown(Given):
    """A session; ``state`` is ``ended`` or what it does now, ``worker`` who has it and its log (0: the gateway)."""

    sid: str
    state: str
    title: str
    resource: str
    started: int
    ended: int | None
    reason: str
    operations: int
    refused: int
    held: int
    masked: int
    worker: int = 0


class ApprovalFact(Given):
    """Something that happened to the approval of an operation."""

    id: str
    what: str
    by: str
    at: int


class OutcomeShown(Given):
    """How an operation ended; ``tag`` is the upstream's own word for it, ``masked`` counts replaced values by field."""

    status: str
    code: str
    tag: str
    rows: int
    bytes: int
    masked: dict[str, int]


class OperationShown(Given):
    """One operation of a replay.

    ``verdict`` is what became of the request that it is part of; ``alone`` is the decision on this operation by itself,
    by ``rules``.
    """

    leaf: int
    at: int
    command: str
    statement: str
    parameters: str
    verdict: str
    alone: str
    rules: list[str]
    policy: str
    approvals: list[ApprovalFact]
    outcome: OutcomeShown | None


class Replay(Given):
    """A page of a session's time line; ``unread`` says what could not be shown, and why; ``next`` is the cursor."""

    session: SessionShown
    operations: list[OperationShown]
    unread: list[str]
    next: str | None = None


class LeafShown(Given):
    """An event, its RFC 6962 leaf hash in hex, its opened compartments, and why others stay closed."""

    leaf: dict[str, Any]
    hash: str
    opened: dict[str, str]
    closed: dict[str, str]


class Explained(Given):
    """What would happen to one statement, and why."""

    statement: str
    effect: str
    rules: list[str]
    because: str
    mask: list[str]
    unmask: list[str]
    lines: list[str]


class Explanation(Given):
    """One entry for each statement in the text; ``bundle`` is the policy's SHA-256."""

    bundle: str
    operations: list[Explained]


class PolicyInForce(Given):
    """The policy that decides, and the configuration, by their SHA-256 in hex; ``mode`` of the last activation.

    ``locked``: nobody approved the configuration, so no agent is served. ``refused`` are policy and configuration as
    the files had them at the start, if nobody approved those.
    """

    policy: str
    configuration: str
    mode: str
    locked: bool
    refused: list[str]
    rules: list[dict[str, Any]]


class Health(Given):
    """``ok``, or ``locked`` while nobody has approved the configuration; without its log the gateway has no health."""

    status: str
