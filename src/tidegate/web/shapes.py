"""What the API takes and gives, as models: the OpenAPI document is made from these.

Times are Unix microseconds unless the name says otherwise; ``expires`` of tokens and logins is in Unix seconds, as in
the token itself. Unknown members of a request are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

T = TypeVar("T")
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Reason = Annotated[str, Field(max_length=2000)]


class Asked(BaseModel):
    """A request body: unknown members are refused, and the input is never repeated in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Bootstrap(Asked):
    """The first administrator's name and the one-time bootstrap code."""

    code: SecretStr
    name: Name


class Enrolment(Asked):
    """A one-time code."""

    code: SecretStr


class NewPerson(Asked):
    """A person to add."""

    name: Name
    groups: tuple[Name, ...] = ()


class NewAgent(Asked):
    """An agent to add; ``owner`` is a person's name, empty for the caller."""

    name: Name
    owner: Name | Annotated[str, Field(max_length=0)] = ""
    groups: tuple[Name, ...] = ()


class Mint(Asked):
    """A token to mint; ``person`` empty for the caller, ``agent`` empty for none, ``ttl`` in seconds."""

    resource: str
    person: str = ""
    agent: str = ""
    ttl: int = 900
    reason: Reason = ""


class Answer(Asked):
    """Why somebody says no, or ends a session."""

    reason: Reason = ""


class Question(Asked):
    """What would happen to ``statement``; ``identity`` is a name or PERSON/AGENT."""

    identity: str
    resource: str
    statement: Annotated[str, Field(max_length=32_768)]


class Given(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class Page(Given, Generic[T]):
    """Some items, newest first; ``next`` is the cursor for more, or null."""

    items: list[T]
    next: str | None = None


class Login(Given):
    """A login token, for the API only; ``expires`` in Unix seconds."""

    token: str
    name: str
    subject: str
    expires: int


class Me(Given):
    """Who the caller is; ``now`` is the gateway's clock."""

    name: str
    subject: str
    groups: list[str]
    expires: int
    now: int


class Member(Given):
    """A person or an agent; ``owner`` is the person an agent acts for."""

    name: str
    subject: str
    kind: str
    groups: list[str]
    owner: str = ""
    state: str


class Code(Given):
    """A one-time code, shown once."""

    name: str
    subject: str
    code: str


class Minted(Given):
    """A token, shown once; ``expires`` in Unix seconds."""

    token: str
    id: str
    grant: str
    title: str
    resource: str
    expires: int


class TokenView(Given):
    """What is kept of a token: never the token itself."""

    id: str
    title: str
    resource: str
    grant: str
    expires: int
    state: str
    leaf: int


class GrantView(Given):
    """A grant; ``expires`` in Unix microseconds."""

    id: str
    subjects: list[str]
    title: str
    resource: str
    expires: int
    rule: str
    reason: str
    state: str
    leaf: int


class Revoked(Given):
    """How many tokens no longer open anything."""

    tokens: int


class HeldView(Given):
    """A held operation as an approver must see it; ``reason`` is what ``stated_by`` claims.

    Once it is over, a list has it without statement, and what only concerned approvers is empty.
    """

    id: str
    sid: str
    state: str
    who: str
    subjects: list[str]
    resource: str
    statement: str = ""
    parameters: str = ""
    reason: str = ""
    stated_by: str = ""
    rule: str
    because: str = ""
    needs: list[str] = []
    approved_by: list[str]
    asked: int
    expires: int
    digest: str
    bundle: str
    answer: str = ""
    may_answer: bool = False


class SessionShown(Given):
    """A session; ``state`` is ``ended`` or what it does now."""

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


class Health(Given):
    """Whether the gateway can take effect: it cannot without its log."""

    status: str
