"""Token exchange over a gateway's parts, in the process that serves the API."""

from __future__ import annotations

from tidegate.enforcement.access import Access
from tidegate.enforcement.exchange import Exchange
from tidegate.enforcement.federation import Federation
from tidegate.enforcement.parties import Parties
from tidegate.enforcement.revocations import Revocations
from tidegate.identity.assertions import Assertions
from tidegate.settings_login import Oidc

from .parts import Parts
from .road import Road


def exchange(parts: Parts, road: Road, access: Access, federation: Federation, revocations: Revocations) -> Exchange:
    """Of workloads' issuers, login providers and our own tokens."""
    providers = parts.settings.login.providers
    parties = Parties(
        access=access,
        admission=road.admission,
        issuer=parts.issuer,
        directory=parts.directory,
        workloads=road.workloads,
        assertions=Assertions({name: each for name, each in providers.items() if isinstance(each, Oidc)}, parts.clock),
        known=federation.accounts.known,
        revocations=revocations,
    )
    return Exchange(
        parties,
        access,
        parts.directory,
        parts.engine,
        parts.settings.resources,
        parts.clock,
        failures=road.failures,
    )
