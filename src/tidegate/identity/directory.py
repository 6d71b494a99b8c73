"""The directory: who exists, who owns which agent, and who is disabled, asked anew whenever a token is used.

Whoever changes it writes the audit leaf first and passes its index, so checking (``person``, ``agent``) and writing
(``add``) are two steps. Methods block; call them outside the event loop.

Invariants: a chain starts with a person and goes on with agents and services, each of which this very person owns, or
which proved itself when tokens were exchanged; nobody in it is disabled, nor anybody who answers for one of them; a
bootstrap code works only while there is no identity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from tidegate.clock import Clock
from tidegate.errors import AgentError, IntegrityError, Refused
from tidegate.model.identity import Hop, Identity, Kind

from . import codes
from .issuer import MINTED, Claims

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""Names of people, agents and groups."""

_BRIEF, _TRIES = 50, 100

ENROL, BOOTSTRAP = "enrol", "bootstrap"
"""Purposes of one-time codes."""

OWNER = "owner"
"""The proof of a person who only answers for the next hop (``Hop.proof``)."""


class Entry(Protocol):
    """What is known of an identity."""

    @property
    def hop(self) -> Hop:
        """Subject, name, kind and groups."""

    @property
    def owner(self) -> str:
        """Subject of the person that answers for an agent or service."""

    @property
    def disabled(self) -> bool:
        """Whether it may do nothing any more."""

    @property
    def leaf(self) -> int:
        """The leaf that says the same."""


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

    def code(self, code: str, now: int) -> Code | None:
        """What it is for; it can still be used."""

    def drop_codes(self, purpose: str, subject: str = "") -> None:
        """Forget all of a purpose, or only somebody's."""


class Directory:
    """People, their agents, and the codes that let them in."""

    def __init__(self, entries: Entries, clock: Clock) -> None:
        self._entries = entries
        self._clock = clock
        self._outdated: Callable[[str, int], bool] = lambda *_: False

    def watch(self, outdated: Callable[[str, int], bool]) -> None:
        """From now on ``outdated`` says whether what is kept of a subject, by its leaf, is older than the log."""
        self._outdated = outdated

    def demand_current(self, entry: Entry) -> None:
        """Raises IntegrityError ``store.forged`` for what the store has of somebody and the log has changed since."""
        subject = entry.hop.subject
        if self._outdated(subject, entry.leaf):
            raise IntegrityError(
                f"the store has {subject} as they were before a change that the audit log knows",
                hint="Somebody put an old row back. Keep a copy of the store; a restart takes the log's word for it.",
                code="store.forged",
            )

    def identity(self, claims: Claims) -> Identity:
        """The chain of a token as it stands now. Raises AgentError as ``resolve`` does."""
        return self.resolve(claims.chain, claims.proofs)

    def resolve(self, subjects: Sequence[str], proofs: Sequence[str] = ()) -> Identity:
        """The chain of these subjects with their groups of this moment, the person first.

        ``proofs`` are how they were proven, in their order; left out, all by a token of ours, which only gives an agent
        to its owner. Raises AgentError: ``identity.unknown``, ``identity.disabled``, ``identity.repeated``, or
        ``identity.unowned`` when the first is no person, nobody answers for a later one, or it is not that person's.
        """
        entries = [self._entry(subject) for subject in subjects]
        proven = proofs or (MINTED,) * len(entries)
        if not entries or entries[0].hop.kind is not Kind.USER:
            raise _unowned("no person answers for this identity")
        person = entries[0].hop
        for entry, proof in zip(entries[1:], proven[1:], strict=True):
            if entry.hop.kind is Kind.USER or (entry.owner != person.subject and proof == MINTED):
                raise _unowned(f"{entry.hop.subject} is not an agent of this person")
            if entry.owner != person.subject and self._entry(entry.owner).hop.kind is not Kind.USER:
                raise _unowned(f"no person answers for {entry.hop.subject}")
        if len(set(subjects)) < len(entries):
            raise AgentError("somebody is in the chain twice", hint=_OWNED, code="identity.repeated")
        return Identity(tuple(replace(each.hop, proof=proof) for each, proof in zip(entries, proven, strict=True)))

    def answering(self, subject: str, proof: str) -> Identity:
        """The chain of an agent or service that comes by itself: who answers for it, and it, proven by ``proof``.

        Raises AgentError as ``resolve`` does: without a person who answers, nobody connects.
        """
        owner = self._entry(subject).owner
        if not owner:
            raise _unowned(f"no person answers for {subject}")
        return self.resolve((owner, subject), (OWNER, proof))

    def named(self, name: str) -> Entry:
        """A person or agent by name. Raises AgentError ``identity.unknown``."""
        found = self._entries.identity_named(name) if NAME.fullmatch(name) else None
        if found is None:
            raise unknown()
        return found

    def entries(self) -> Sequence[Entry]:
        """Everybody, by name."""
        return self._entries.identities()

    def person(self, name: str, groups: Sequence[str] = ()) -> Hop:
        """A person to add. Raises Refused ``identity.name`` or ``identity.taken``."""
        self._free(name)
        return Hop(self._clock.name("u"), name, Kind.USER, _groups(groups))

    def newcomer(self, wanted: str) -> Hop:
        """A person to add who brings a name from elsewhere: theirs as far as it is one here, and free."""
        plain = re.sub(r"[^a-z0-9._-]+", "-", wanted.partition("@")[0].lower()).strip("._-")[:_BRIEF] or "person"
        tries = (plain, *(f"{plain}-{number}" for number in range(2, _TRIES)), self._clock.name("p"))
        name = next(each for each in tries if self._entries.identity_named(each) is None)
        return Hop(self._clock.name("u"), name, Kind.USER)

    def agent(self, name: str, groups: Sequence[str] = ()) -> Hop:
        """An agent to add. Raises Refused ``identity.name`` or ``identity.taken``."""
        self._free(name)
        return Hop(f"a_{name}", name, Kind.AGENT, _groups(groups))

    def service(self, name: str, groups: Sequence[str] = ()) -> Hop:
        """A service to add. Raises Refused ``identity.name`` or ``identity.taken``."""
        self._free(name)
        return Hop(f"s_{name}", name, Kind.SERVICE, _groups(groups))

    def add(self, who: Hop, *, leaf: int, owner: str = "") -> None:
        """Write what ``person``, ``agent`` or ``service`` gave; the latter need their owner's subject.

        Raises AgentError, Refused.
        """
        if who.kind is not Kind.USER:
            self.resolve((owner,))
        self._entries.put_identity(who, owner=owner, disabled=False, leaf=leaf)

    def disable(self, subject: str, *, leaf: int) -> None:
        """From now on no chain with this identity resolves. Raises AgentError ``identity.unknown``."""
        found = self._entries.identity(subject)
        if found is None:
            raise unknown()
        self._entries.put_identity(found.hop, owner=found.owner, disabled=True, leaf=leaf)

    def enrolment_code(self, subject: str, *, ttl: int) -> str:
        """A code with which this person can log in once within ``ttl`` seconds, in place of earlier ones.

        Raises AgentError.
        """
        self.resolve((subject,))
        self._entries.drop_codes(ENROL, subject)
        return self._code(subject, ttl, ENROL)

    def enrol(self, code: str) -> Identity:
        """Use up an enrolment code: who it was for. Raises AgentError ``code.invalid``, or as ``resolve`` does."""
        return self.resolve((self._take(code, ENROL).subject,))

    def enrolling(self, code: str) -> Identity:
        """Who an enrolment code is for, without using it up. Raises as ``enrol``."""
        found = self._entries.code(codes.kept(code, ENROL), self._clock.now())
        if found is None:
            raise invalid()
        return self.resolve((found.subject,))

    def bootstrap_code(self, *, ttl: int) -> str | None:
        """A code for the first administrator, in place of earlier ones; None once there is any identity."""
        self._entries.drop_codes(BOOTSTRAP)
        return None if self._entries.identities() else self._code("", ttl, BOOTSTRAP)

    def bootstrapping(self, code: str) -> None:
        """Look whether a bootstrap code is good, without using it up. Raises as ``bootstrap``."""
        if self._entries.code(codes.kept(code, BOOTSTRAP), self._clock.now()) is None or self._entries.identities():
            raise invalid()

    def bootstrap(self, code: str) -> None:
        """Use up a bootstrap code. Raises AgentError ``code.invalid``, also when there is an identity already."""
        self._take(code, BOOTSTRAP)
        if self._entries.identities():
            raise invalid()

    def _entry(self, subject: str) -> Entry:
        found = self._entries.identity(subject)
        if found is None:
            raise unknown()
        if found.disabled:
            raise AgentError(f"{subject} is disabled", hint="Ask an administrator.", code="identity.disabled")
        self.demand_current(found)
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
            raise invalid()
        return found


def _unowned(message: str) -> AgentError:
    return AgentError(message, hint=_OWNED, code="identity.unowned")


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


def unknown() -> AgentError:
    """What is said of somebody who is not there, and of whom somebody has no business to ask."""
    return AgentError("there is no such identity", hint="Ask an administrator to add it.", code="identity.unknown")


def invalid() -> AgentError:
    """What is said of a one-time code that opens nothing."""
    return AgentError("the code is wrong, was used, or has expired", hint="Ask for a new code.", code="code.invalid")
