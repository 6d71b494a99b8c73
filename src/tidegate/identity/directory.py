"""The directory: who exists, who owns which agent, and who is disabled, asked anew whenever a token is used.

Whoever changes it writes the audit leaf first and passes its index, so checking (``person``, ``agent``) and writing
(``add``) are two steps. Methods block; call them outside the event loop.

Invariants: a chain starts with a person and goes on with agents that this very person owns; nobody in it is disabled;
a bootstrap code works only while there is no identity.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.model.identity import Hop, Identity, Kind

from . import codes
from .issuer import Claims

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""Names of people, agents and groups."""

ENROL, BOOTSTRAP = "enrol", "bootstrap"
"""Purposes of one-time codes."""


class Entry(Protocol):
    """What is known of an identity."""

    @property
    def hop(self) -> Hop:
        """Subject, name, kind and groups."""

    @property
    def owner(self) -> str:
        """Subject of the person that answers for an agent."""

    @property
    def disabled(self) -> bool:
        """Whether it may do nothing any more."""


class Code(Protocol):
    """What a one-time code was for."""

    @property
    def subject(self) -> str:
        """Whose it was."""


class Entries(Protocol):
    """Where identities and codes are kept: ``tidegate.store.rows.Store``."""

    def put_identity(self, who: Hop, *, owner: str, disabled: bool, leaf: int) -> None:
        """Write one. Raises Refused ``identity.taken``."""

    def identity(self, subject: str) -> Entry | None:
        """One by subject."""

    def identity_named(self, name: str) -> Entry | None:
        """One by name."""

    def identities(self) -> Sequence[Entry]:
        """All of them."""

    def put_code(self, code: str, *, subject: str, expires: int, purpose: str) -> None:
        """Remember a code by its hash."""

    def take_code(self, code: str, now: int) -> Code | None:
        """Use it up."""

    def drop_codes(self, purpose: str) -> None:
        """Forget all of a purpose."""


class Directory:
    """People, their agents, and the codes that let them in."""

    def __init__(self, entries: Entries, clock: Clock) -> None:
        self._entries = entries
        self._clock = clock

    def identity(self, claims: Claims) -> Identity:
        """The chain of a token as it stands now. Raises AgentError as ``resolve`` does."""
        return self.resolve(claims.chain)

    def resolve(self, subjects: Sequence[str]) -> Identity:
        """The chain of these subjects with their groups of this moment, the person first.

        Raises AgentError: ``identity.unknown``, ``identity.disabled``, ``identity.unowned`` when the first is no person
        or a later one is not an agent of that person.
        """
        entries = [self._entry(subject) for subject in subjects]
        if not entries or entries[0].hop.kind is not Kind.USER:
            raise AgentError("no person answers for this identity", hint=_OWNED, code="identity.unowned")
        person = entries[0].hop
        for entry in entries[1:]:
            if entry.hop.kind is Kind.USER or entry.owner != person.subject:
                raise AgentError(
                    f"{entry.hop.subject} is not an agent of this person", hint=_OWNED, code="identity.unowned"
                )
        return Identity(tuple(entry.hop for entry in entries))

    def named(self, name: str) -> Entry:
        """A person or agent by name. Raises AgentError ``identity.unknown``."""
        found = self._entries.identity_named(name) if NAME.fullmatch(name) else None
        if found is None:
            raise _unknown()
        return found

    def entries(self) -> Sequence[Entry]:
        """Everybody, by name."""
        return self._entries.identities()

    def person(self, name: str, groups: Sequence[str] = ()) -> Hop:
        """A person to add. Raises Refused ``identity.name`` or ``identity.taken``."""
        self._free(name)
        return Hop(self._clock.name("u"), name, Kind.USER, _groups(groups))

    def agent(self, name: str, groups: Sequence[str] = ()) -> Hop:
        """An agent to add. Raises Refused ``identity.name`` or ``identity.taken``."""
        self._free(name)
        return Hop(f"a_{name}", name, Kind.AGENT, _groups(groups))

    def add(self, who: Hop, *, leaf: int, owner: str = "") -> None:
        """Write what ``person`` or ``agent`` gave; an agent needs its owner's subject. Raises AgentError, Refused."""
        if who.kind is not Kind.USER:
            self.resolve((owner,))
        self._entries.put_identity(who, owner=owner, disabled=False, leaf=leaf)

    def disable(self, subject: str, *, leaf: int) -> None:
        """From now on no chain with this identity resolves. Raises AgentError ``identity.unknown``."""
        found = self._entries.identity(subject)
        if found is None:
            raise _unknown()
        self._entries.put_identity(found.hop, owner=found.owner, disabled=True, leaf=leaf)

    def enrolment_code(self, subject: str, *, ttl: int) -> str:
        """A code with which this person can log in once within ``ttl`` seconds. Raises AgentError."""
        self.resolve((subject,))
        return self._code(subject, ttl, ENROL)

    def enrol(self, code: str) -> Identity:
        """Use up an enrolment code: who it was for. Raises AgentError ``code.invalid``, or as ``resolve`` does."""
        return self.resolve((self._take(code, ENROL).subject,))

    def bootstrap_code(self, *, ttl: int) -> str | None:
        """A code for the first administrator, in place of earlier ones; None once there is any identity."""
        self._entries.drop_codes(BOOTSTRAP)
        return None if self._entries.identities() else self._code("", ttl, BOOTSTRAP)

    def bootstrap(self, code: str) -> None:
        """Use up a bootstrap code. Raises AgentError ``code.invalid``, also when there is an identity already."""
        self._take(code, BOOTSTRAP)
        if self._entries.identities():
            raise _invalid()

    def _entry(self, subject: str) -> Entry:
        found = self._entries.identity(subject)
        if found is None:
            raise _unknown()
        if found.disabled:
            raise AgentError(f"{subject} is disabled", hint="Ask an administrator.", code="identity.disabled")
        return found

    def _free(self, name: str) -> None:
        _check(name)
        if self._entries.identity_named(name) is not None:
            raise Refused(f"the name {name} is taken", hint="Choose another name.", code="identity.taken")

    def _code(self, subject: str, ttl: int, purpose: str) -> str:
        code = codes.fresh()
        expires = self._clock.now() + ttl * 1_000_000
        self._entries.put_code(codes.kept(code, purpose), subject=subject, expires=expires, purpose=purpose)
        return code

    def _take(self, code: str, purpose: str) -> Code:
        found = self._entries.take_code(codes.kept(code, purpose), self._clock.now())
        if found is None:
            raise _invalid()
        return found


_OWNED = "A chain is a person and agents that this person owns: tidegate agents ls."


def _groups(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        _check(name)
    return tuple(sorted(set(names)))


def _check(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Refused(
            "this is not a name: lower-case letters, digits, dots, dashes and underscores, at most 63",
            hint="It starts with a letter or digit, such as claude-code.",
            code="identity.name",
        )


def _unknown() -> AgentError:
    return AgentError("there is no such identity", hint="Ask an administrator to add it.", code="identity.unknown")


def _invalid() -> AgentError:
    return AgentError("the code is wrong, was used, or has expired", hint="Ask for a new code.", code="code.invalid")
