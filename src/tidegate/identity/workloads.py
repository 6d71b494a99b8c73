"""Workloads' own tokens as credentials: JWTs of a cluster, a CI system or the organisation's provider.

Which issuers there are stands in tidegate.yaml; whose a token is, in the store's links. A token may be presented as
often as it is valid, since drivers connect again; it is for this gateway alone (``aud``), or for one resource of it.

Invariants: a token of an unknown issuer and one with a wrong signature are told in the same words, and so are tokens
that nobody is bound to and those that more than one identity could be bound to; one that says that somebody acts for
its subject (``act``) is refused, since nothing is known of how that was proven.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from tidegate.clock import Clock
from tidegate.errors import AgentError, ConfigError, ResourceError
from tidegate.settings_workloads import Workload

from . import bindings, jws, keysets
from .fetch import Fetch

TYPES = keysets.TYPES | {"at+jwt"}
"""Types of tokens: plain ones, and access tokens (RFC 9068)."""

TOKEN_ID = re.compile(r"jw_[0-9a-f]{32}")
"""What ``token_id`` gives."""

LONGEST = 24 * 3600
"""Seconds from now that a token may still be valid: a credential for years is none of a workload's."""


class Link(Protocol):
    """What binds tokens to somebody of the directory."""

    @property
    def id(self) -> str:
        """Its own name."""

    @property
    def subject(self) -> str:
        """Whose tokens these are."""

    @property
    def conditions(self) -> str:
        """What ``bindings.written`` gave."""


class Links(Protocol):
    """Where bindings are kept: ``tidegate.store.rows.Store``."""

    def links(self, *, provider: str | None = None, externals: Sequence[str] | None = None) -> Sequence[Link]:
        """Those of a provider for any of these names."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that holds: whose issuer's, under which id it is revoked, from and until when, and what it says.

    ``issued`` and ``expires`` in Unix seconds; ``issued`` is 0 when it is not said.
    """

    issuer: str
    id: str
    issued: int
    expires: int
    claims: Mapping[str, Any]

    @property
    def proof(self) -> str:
        """How it proves a hop (``Hop.proof``)."""
        return provider(self.issuer)


@dataclass(frozen=True, slots=True)
class Bound:
    """Who a token stands for in the directory, and by which link."""

    subject: str
    link: str


class Workloads:
    """Verifies the tokens of ``issuers`` and finds whose they are; for one event loop. ``ended`` are revoked links."""

    def __init__(self, issuers: Mapping[str, Workload], links: Links, clock: Clock, ended: Container[str]) -> None:
        self._issuers = {issuer.issuer: (name, issuer, _keys(issuer, clock)) for name, issuer in issuers.items()}
        self._links = links
        self._clock = clock
        self._ended = ended

    def __bool__(self) -> bool:
        return bool(self._issuers)

    async def verify(self, token: str, resource: str) -> Presented:
        """A token for ``resource`` that one of the issuers signed and that is in force.

        Raises AgentError ``token.*``, ResourceError when the issuer's keys cannot be had.
        """
        found = jws.read(token)
        issuer = found.claims.get("iss")
        known = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if known is None:
            raise keysets.unsigned()
        name, workload, keys = known
        try:
            audience = workload.audience.replace("{resource}", resource)
            claims = await keys.verify(token, issuer=workload.issuer, audience=audience, types=TYPES)
        except ConfigError:
            raise ResourceError(
                "the keys of the token's issuer cannot be used",
                hint="Ask the operator to look at workloads in tidegate.yaml.",
                code="provider.keys",
            ) from None
        return self._presented(name, found, claims)

    def bound(self, presented: Presented) -> Bound:
        """Whose a token is. Blocks. Raises AgentError ``identity.unbound`` unless it is exactly one identity's."""
        name = presented.claims.get("sub")
        externals = ["", name] if isinstance(name, str) else [""]
        rows = self._links.links(provider=presented.proof, externals=externals)
        fitting = [
            row
            for row in rows
            if row.id not in self._ended and bindings.fits(bindings.read(row.conditions), presented.claims)
        ]
        if len({row.subject for row in fitting}) != 1:
            raise AgentError(
                "nobody of the directory has this token",
                hint="An administrator binds it: tidegate agents bind NAME --issuer ISSUER --subject SUBJECT.",
                code="identity.unbound",
            )
        return Bound(fitting[0].subject, fitting[0].id)

    def _presented(self, name: str, found: jws.Token, claims: Mapping[str, Any]) -> Presented:
        if "act" in claims:
            raise AgentError(
                "the token says that somebody else acts for its subject",
                hint="Present the workload's own token; chains are made by token exchange.",
                code="token.delegated",
            )
        expires = int(keysets.number(claims.get("exp")))
        if expires > self._clock.now() // 1_000_000 + LONGEST:
            raise AgentError(
                "the token is valid for too long",
                hint="Ask its issuer for one that ends within 24 hours.",
                code="token.lasting",
            )
        issued = int(keysets.number(claims.get("iat", 0)))
        return Presented(name, token_id(name, claims.get("jti"), found.signed), issued, expires, claims)


def provider(issuer: str) -> str:
    """How an issuer of tidegate.yaml is named among providers and proofs."""
    return f"jwt:{issuer}"


def token_id(issuer: str, jti: object, signed: bytes = b"") -> str:
    """The name under which a workload's token stands in the log: of its ``jti``, or of what was signed without one."""
    about = ["jti", jti] if isinstance(jti, str) and jti else ["signed", hashlib.sha256(signed).hexdigest()]
    return "jw_" + hashlib.sha256(orjson.dumps([issuer, *about])).hexdigest()[:32]


def source(issuer: Workload) -> keysets.Load:
    """Where an issuer's keys are read."""
    fetch, where = Fetch(issuer.ca), issuer.keys
    if where.startswith("file:"):
        return keysets.from_file(Path(where.removeprefix("file:")))
    return keysets.from_url(fetch, where) if where else keysets.discovered(fetch, issuer.issuer)


def _keys(issuer: Workload, clock: Clock) -> keysets.KeySet:
    return keysets.KeySet(source(issuer), clock, issuer.algorithms or jws.ALGORITHMS)
