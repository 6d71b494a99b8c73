"""People, agents and services, how they log in, and where else they are known."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from .base import Asked, Given, Name, Proving, Secret


class Bootstrap(Asked):
    """The first administrator's name, the one-time bootstrap code, and the password from now on."""

    code: Secret
    name: Name
    password: Secret


class Enrolment(Asked):
    """A one-time code, and the password from now on."""

    code: Secret
    password: Secret


class Named(Asked):
    """A local login; ``otp`` is the one-time password of who has enrolled one."""

    name: Annotated[str, Field(max_length=63)]
    password: Secret
    otp: Annotated[SecretStr, Field(max_length=32)] = SecretStr("")


class DeviceLogin(Asked):
    """The code that a terminal polls with (RFC 8628)."""

    device_code: SecretStr


class NewPerson(Asked):
    """A person to add."""

    name: Name
    groups: tuple[Name, ...] = ()
    proof: Proving = Field(default_factory=dict)


Conditions = Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=16)]
"""Patterns by claim of a workload's token."""


class NewAgent(Asked):
    """An agent or service to add; ``owner`` is a person's name, empty for the caller.

    With ``issuer``, a name under ``workloads`` in tidegate.yaml, its tokens that meet ``conditions`` are the agent's.
    """

    name: Name
    owner: Name | Annotated[str, Field(max_length=0)] = ""
    groups: tuple[Name, ...] = ()
    kind: Literal["agent", "service"] = "agent"
    issuer: Annotated[str, Field(max_length=63)] = ""
    conditions: Conditions = {}
    proof: Proving = Field(default_factory=dict)


class NewBinding(Asked):
    """Tokens that are an agent's: of ``issuer``, a name under ``workloads`` in tidegate.yaml, by ``conditions``."""

    issuer: Annotated[str, Field(max_length=63)]
    conditions: Conditions
    proof: Proving = Field(default_factory=dict)


class NewLink(Asked):
    """Who somebody is: the provider's ``subject`` for them, or an ``email`` that it vouches for (used up by the first
    who comes with it), or ``same_as`` for another account of the same person. Exactly one of these.
    """

    provider: Annotated[str, Field(pattern=r"^$|^(slack:)?[a-z0-9][a-z0-9._-]{0,62}$")] = ""
    subject: Annotated[str, Field(max_length=255)] = ""
    email: Annotated[str, Field(max_length=254, pattern=r"^$|^[^\s@]+@[^\s@]+$")] = ""
    same_as: Name | Annotated[str, Field(max_length=0)] = ""
    proof: Proving = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.subject, self.email, self.same_as))) != 1 or bool(self.same_as) == bool(self.provider):
            raise ValueError("say a provider with a subject or an email, or same_as")
        if not (self.subject or "x").isprintable() or self.subject != self.subject.strip():
            raise ValueError("a subject is a plain text")
        return self


class Login(Given):
    """A login token, for the API only; ``expires`` in Unix seconds."""

    token: str
    name: str
    subject: str
    expires: int


class DeviceCode(Given):
    """A login that a person confirms in a browser (RFC 8628 section 3.2); ``expires_in``, ``interval`` in seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


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


class BindingShown(Given):
    """Which tokens are an agent's: those of ``issuer`` that meet all ``conditions``."""

    id: str
    issuer: str
    conditions: dict[str, str]
    leaf: int


class AgentShown(Member):
    """An agent or service with its bindings."""

    bindings: list[BindingShown]


class Code(Given):
    """A one-time code, shown once."""

    name: str
    subject: str
    code: str


class LinkView(Given):
    """How a person is known at a provider; ``email`` is an invitation that nobody has taken yet."""

    id: str
    provider: str
    subject: str
    email: str
    leaf: int
