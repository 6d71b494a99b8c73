"""Who asks: a chain of hops, the accountable person first and the one that acts last."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an identity is."""

    USER = "user"
    AGENT = "agent"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Hop:
    """One link of a delegation chain.

    ``subject`` is the pseudonym that stands in the audit log (``u_...`` for a person, ``a_NAME`` for an agent);
    ``name`` is personal data and stays out of leaves. ``proof`` says how the hop was proven.
    """

    subject: str
    name: str
    kind: Kind
    groups: tuple[str, ...] = ()
    proof: str = "token"


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
        """Every subject in the chain: none of them may approve."""
        return frozenset(hop.subject for hop in self.chain)


@dataclass(frozen=True, slots=True)
class Grant:
    """An identity may use a resource until ``expires`` (Unix microseconds), under a rule, for a reason."""

    id: str
    subjects: tuple[str, ...]
    resource: str
    expires: int
    rule: str
    reason: str
    leaf: int
