"""What people prove with that it is them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr

from .base import Asked, Given, Label, Proving, Secret


class Proven(Asked):
    """What needs nothing but a proof."""

    proof: Proving = Field(default_factory=dict)


class NewPassword(Asked):
    """Another password, in place of the one before."""

    password: Secret
    proof: Proving = Field(default_factory=dict)


class NewTotp(Asked):
    """The first one-time password of a new device."""

    otp: Annotated[SecretStr, Field(max_length=32)]
    label: Label = ""
    proof: Proving = Field(default_factory=dict)


class NewPasskey(Asked):
    """The JSON of what ``navigator.credentials.create`` answered."""

    credential: Annotated[str, Field(max_length=32 * 1024)]
    label: Label = ""
    proof: Proving = Field(default_factory=dict)


class NewKey(Asked):
    """A line of a ``.pub`` file; without ``label`` its comment is taken."""

    key: Annotated[str, Field(max_length=16 * 1024)]
    label: Label = ""
    proof: Proving = Field(default_factory=dict)


class CredentialView(Given):
    """What one proves oneself with: never a secret. ``leaf`` says the same in the audit log."""

    id: str
    method: str
    label: str
    leaf: int


class CredentialsView(Given):
    """One's credentials, and the methods of proof they make; with ``otp`` a password needs a one-time password.

    On ``page`` a browser adds passkeys.
    """

    items: list[CredentialView]
    methods: list[str]
    otp: bool
    page: str


class PendingTotp(Given):
    """A new secret for an authenticator application, shown once; not enrolled before it is shown to work."""

    id: str
    secret: str
    url: str


class PendingPasskey(Given):
    """What ``navigator.credentials.create`` takes."""

    id: str
    options: dict[str, Any]


class ChallengeView(Given):
    """What is to be proven: in words, as an ssh key signs it, and what ``navigator.credentials.get`` takes.

    ``options`` is empty without passkeys; ``done`` once a browser has left its proof.
    """

    id: str
    action: str
    sign: str
    options: dict[str, Any]
    done: bool
