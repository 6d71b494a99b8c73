"""Tokens, grants and requests for them, emergencies, the kill switch, upstream secrets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from .base import Asked, Given, Proving, Reason


class Mint(Asked):
    """A token to mint; ``person`` empty for the caller, ``agent`` empty for none, ``ttl`` in seconds.

    With ``public_key`` (PEM) a client certificate for that key takes the token's place. ``grant`` is the one to use of
    those that were asked for.
    """

    resource: str
    person: str = ""
    agent: str = ""
    ttl: int = 900
    reason: Reason = ""
    public_key: Annotated[str, Field(max_length=4096)] = ""
    grant: Annotated[str, Field(max_length=64)] = ""
    proof: Proving = Field(default_factory=dict)


class Access(Asked):
    """Access to ask for; ``agent`` is one's own, empty for oneself."""

    resource: Annotated[str, Field(max_length=100)]
    seconds: Annotated[int, Field(ge=1, le=24 * 3600)] = 1800
    reason: Reason = ""
    agent: Annotated[str, Field(max_length=100)] = ""


class Emergency(Asked):
    """Glass to break, why, and a fresh proof of who does (see `Decision`)."""

    resource: Annotated[str, Field(max_length=100)]
    seconds: Annotated[int, Field(ge=1, le=3600)] = 3600
    reason: Reason
    proof: dict[str, str] = Field(default_factory=dict, max_length=12, repr=False)


class Finding(Asked):
    """What somebody found who looked at broken glass."""

    finding: Reason


class Kill(Asked):
    """What to end; ``name`` is a session's id or a name, empty for all."""

    what: Literal["session", "identity", "agent", "resource", "all"]
    name: Annotated[str, Field(max_length=100)] = ""
    reason: Reason = ""


class NewSecret(Asked):
    """A value to keep; it is never given back."""

    value: SecretStr


class Minted(Given):
    """A token or a certificate (PEM), shown once, the other one empty; ``expires`` in Unix seconds."""

    token: str
    certificate: str = ""
    id: str
    grant: str
    title: str
    resource: str
    expires: int


class NativeClient(Given):
    """A native client and the line that points it at a resource, once its files and variables are there."""

    name: str
    title: str
    lines: str


class Connection(Given):
    """How native clients reach a resource; ``seconds`` is how long policy lets the chain at most.

    ``grant`` is the id of a live grant that was asked for, if there is one and it is to be used: because ``asks``,
    somebody must say yes to another one, or because it is an emergency's.

    ``ca`` is what to trust (PEM; empty for what every machine trusts). In ``files``, ``environment`` and ``lines`` the
    places ``{{directory}}``, ``{{ca}}`` and, in files only, ``{{token}}`` are left for who writes the files.
    """

    resource: str
    protocol: str
    host: str
    port: int
    user: str
    title: str
    ca: str
    seconds: int
    asks: bool
    grant: str
    files: dict[str, str]
    environment: dict[str, str]
    clients: list[NativeClient]


class Exchanged(Given):
    """A token that was exchanged (RFC 8693 section 2.2.1), or a certificate (PEM) in its place."""

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int


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
    """A grant; ``expires`` in Unix microseconds, ``kind`` is ``timed``, ``standing`` or ``breakglass``."""

    id: str
    kind: str
    subjects: list[str]
    title: str
    resource: str
    expires: int
    rule: str
    reason: str
    state: str
    leaf: int


class RequestView(Given):
    """Access that was asked for.

    ``state`` is ``requested``, ``approved``, ``active``, ``denied``, ``expired`` or ``revoked``; ``expires`` is until
    when people may answer, then until when the access lasts; ``approval`` is the id of what people are asked.
    """

    id: str
    state: str
    kind: str
    title: str
    subjects: list[str]
    resource: str
    seconds: int
    expires: int
    reason: str
    rule: str
    approval: str


class AnswerState(Given):
    """How an approval stands; ``answer`` is the reason of a no."""

    id: str
    state: str
    answer: str
    expires: int


class BrokenView(Given):
    """Broken glass: by whom, where, until when, and who looked at it; ``due`` is until when somebody must have."""

    id: str
    who: str
    resource: str
    opened: int
    expires: int
    due: int
    reviewed_by: str


class Killed(Given):
    """How much the kill switch has ended."""

    sessions: int
    grants: int
    tokens: int


class Revoked(Given):
    """How many tokens no longer open anything."""

    tokens: int


class SecretView(Given):
    """A secret without its value; ``resources`` use it."""

    name: str
    by: str
    changed: int
    leaf: int
    resources: list[str]
