"""Tokens by which a login provider says who a person is, presented by somebody else: an ID token, for our client alone.

They are good for an exchange, where a workload's token must stand beside them, and for nothing else; logging in needs
the whole way to the provider and back (``oidc``). A logout token, which has the same issuer and audience, is refused,
and so is one that says that somebody acts for its subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.clock import Clock
from tidegate.settings_login import Oidc

from . import jws, keysets
from .fetch import Fetch


@dataclass(frozen=True, slots=True)
class Asserted:
    """Whom a provider calls ``subject``, until when (Unix seconds) and since when, and all that it says."""

    provider: str
    subject: str
    issued: int
    expires: int
    claims: Mapping[str, Any]

    @property
    def proof(self) -> str:
        """How it proves a hop (``Hop.proof``)."""
        return f"oidc:{self.provider}"


class Assertions:
    """Verifies tokens of login ``providers``; for one event loop."""

    def __init__(self, providers: Mapping[str, Oidc], clock: Clock) -> None:
        self._providers = {
            name: (provider, keysets.KeySet(keysets.discovered(Fetch(provider.ca), provider.issuer), clock))
            for name, provider in providers.items()
        }

    def meant(self, token: str) -> str:
        """The provider that a token says it is of, and for us; empty when there is none. Nothing is proven by it.

        Raises AgentError ``token.malformed``.
        """
        claims = jws.read(token).claims
        for name, (provider, _) in self._providers.items():
            audiences = (provider.client_id, [provider.client_id])
            if claims.get("iss") == provider.issuer and claims.get("aud") in audiences:
                return name
        return ""

    async def verify(self, token: str, name: str) -> Asserted:
        """Whom the provider ``name`` means. Raises AgentError ``token.*``, ResourceError, ConfigError."""
        provider, keys = self._providers[name]
        claims = await keys.verify(token, issuer=provider.issuer, audience=provider.client_id)
        subject, party = claims.get("sub"), claims.get("azp", provider.client_id)
        if (
            not isinstance(subject, str)
            or not subject
            or party != provider.client_id
            or {"events", "act"} & set(claims)
        ):
            raise jws.malformed()
        issued, expires = int(keysets.number(claims.get("iat", 0))), int(keysets.number(claims.get("exp")))
        return Asserted(name, subject, issued, expires, claims)
