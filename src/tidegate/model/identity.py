"""Who asks: a chain of hops, the accountable person first and the one that acts last."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MINTED_BY = "minted:"
"""Begins the proof of a person who proved nothing: somebody else, who is named behind it, minted for them."""


class Kind(StrEnum):
    """What an identity is."""

    USER = "user"
    AGENT = "agent"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Hop:
    """One link of a delegation chain.

    ``subject`` is the pseudonym that stands in the audit log (``u_...`` for a person, ``a_NAME`` for an agent,
    ``s_NAME`` for a service); ``name`` is personal data and stays out of leaves. ``proof`` says how the hop was proven:
    ``token`` (the gateway's own), ``oidc:PROVIDER``, ``saml:PROVIDER``, ``password``, ``code``, ``jwt:ISSUER``,
    ``certificate``, ``exchange`` (the gateway's own, brought along by another hop), ``owner`` (answers for the next hop
    and proved nothing), ``minted:SUBJECT`` (an administrator's token for them). ``owner`` is the subject of the person
    who answers for an agent or service; ``same`` is the subject under which all accounts of one person are known, their
    own if they have but one.
    """

    subject: str
    name: str
    kind: Kind
    groups: tuple[str, ...] = ()
    proof: str = "token"
    owner: str = ""
    same: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """A delegation chain, never empty."""

    chain: tuple[Hop, ...]

    @property
    def person(self) -> Hop:
        """Who answers for what happens."""
        return self.chain[0]

    @property
    def actor(self) -> Hop:
        """Who acts."""
        return self.chain[-1]

    @property
    def title(self) -> str:
        """For people to read, e.g. ``alice -> claude-code``."""
        return " -> ".join(hop.name for hop in self.chain)

    @property
    def subjects(self) -> frozenset[str]:
        """Every subject in the chain."""
        return frozenset(hop.subject for hop in self.chain)

    @property
    def rests(self) -> frozenset[str]:
        """With whom it ends: every hop, and who answers for one."""
        return frozenset(name for hop in self.chain for name in (hop.subject, hop.owner) if name)

    def rests_on(self, subject: str) -> bool:
        """Whether it ends with somebody: a hop, or who answers for one."""
        return subject in self.rests

    @property
    def involved(self) -> frozenset[str]:
        """Everybody who has a part in the chain: none of them may approve.

        Joined accounts, owners, and who minted for somebody else are counted.
        """
        found = (name for hop in self.chain for name in (hop.subject, hop.same, hop.owner, _minter(hop)))
        return frozenset(name for name in found if name)


def _minter(hop: Hop) -> str:
    return hop.proof.removeprefix(MINTED_BY) if hop.proof.startswith(MINTED_BY) else ""


@dataclass(frozen=True, slots=True)
class External:
    """Somebody as an identity provider knows them; ``authenticated`` is when they proved it there (Unix seconds).

    ``provider`` is the name in tidegate.yaml, ``subject`` the provider's own, unchanging name for them. ``proof`` is as
    in ``Hop``. ``email`` is empty unless the provider says that it is verified.
    """

    provider: str
    subject: str
    name: str
    email: str
    groups: tuple[str, ...]
    proof: str
    authenticated: int


TIMED, STANDING, BREAKGLASS = "timed", "standing", "breakglass"
"""Kinds of grants: asked for, given by policy without a request, taken in an emergency."""


@dataclass(frozen=True, slots=True)
class Grant:
    """An identity may use a resource until ``expires`` (Unix microseconds), under a rule, for a reason.

    ``kind`` is one of the kinds above; ``approval`` is the id of the approval that people gave, if they did.
    """

    id: str
    subjects: tuple[str, ...]
    resource: str
    expires: int
    rule: str
    reason: str
    leaf: int
    kind: str = TIMED
    approval: str = ""
