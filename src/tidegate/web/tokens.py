"""/api/v1/tokens and /api/v1/grants: minted for oneself and one's own agents, ended at once.

A person sees their own; who observes the gateway sees all. Tokens themselves are kept nowhere.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from tidegate.identity.workloads import token_id
from tidegate.model.identity import Identity
from tidegate.store.rows import GrantRow, TokenRow

from .pages import Cursor, Limit, page
from .services import ApiServices, By, Services
from .shapes import GrantView, Mint, Minted, Page, Revoked, TokenView
from .shown import safe
from .stepup import proven

router = APIRouter(tags=["tokens"])
Kind = Literal["timed", "standing", "breakglass"]

Issuer = Annotated[str, Query(max_length=63, description="Whose token it is, if a workload's.")]


@router.post("/tokens", status_code=201)
async def mint(at: Services, by: By, body: Mint) -> Minted:
    """Mint a token and the grant it needs. The token, or the certificate for a public key instead, is shown once.

    Without an agent it opens the resource as the person, and needs a `proof` (see POST /api/v1/me/credentials/ssh).
    """
    minted = await at.access.mint(
        by.identity,
        person=body.person,
        agent=body.agent or None,
        resource=body.resource,
        ttl=body.ttl,
        reason=body.reason,
        key=body.public_key,
        grant=body.grant,
        prove=lambda action: proven(at, by, action, body.proof),
    )
    return Minted(
        token=minted.token,
        certificate=minted.certificate,
        id=minted.claims.id,
        grant=minted.claims.grant,
        title=minted.identity.title,
        resource=body.resource,
        expires=minted.claims.expires,
    )


@router.get("/tokens")
async def tokens(at: Services, by: By, limit: Limit = 50, cursor: Cursor = None) -> Page[TokenView]:
    """List tokens, newest first; logins are tokens for the API."""
    rows = await asyncio.to_thread(at.store.tokens, _whose(at, by.identity))
    grants = {row.id: row for row in await asyncio.to_thread(at.store.grants)}
    names = await _names(at)
    now = at.clock.now()

    def show(row: TokenRow) -> TokenView:
        grant = grants.get(row.grant)
        return TokenView(
            id=row.jti,
            title=_title(grant.subjects if grant else (row.subject,), names),
            resource=grant.resource if grant else row.audience,
            grant=row.grant,
            expires=row.expires // 1_000_000,
            state="revoked" if row.revoked else "active" if row.expires > now else "expired",
            leaf=row.leaf,
        )

    return page(rows, lambda row: row.leaf, show, limit, cursor)


@router.delete("/tokens/{id}")
async def revoke(at: Services, by: By, id: str, issuer: Issuer = "") -> Revoked:
    """End a token or a grant, and the open sessions it carries: one's own, or any with the ability to operate.

    With ``issuer``, a name under ``workloads`` in tidegate.yaml, ``id`` is the ``jti`` of one of its tokens.
    """
    return Revoked(tokens=await at.access.revoke(by.identity, token_id(issuer, id) if issuer else id))


@router.get("/grants")
async def grants(
    at: Services, by: By, kind: Kind | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[GrantView]:
    """List grants, newest first; those of kind ``standing`` are the report of what policy gives without a request."""
    rows = await asyncio.to_thread(at.store.grants, _whose(at, by.identity))
    rows = [row for row in rows if kind in (None, row.kind)]
    names = await _names(at)
    now = at.clock.now()

    def show(row: GrantRow) -> GrantView:
        return GrantView(
            id=row.id,
            kind=row.kind,
            subjects=list(row.subjects),
            title=_title(row.subjects, names),
            resource=row.resource,
            expires=row.expires,
            rule=row.rule,
            reason=safe(row.reason),
            state="expired" if row.state == "active" and row.expires <= now else row.state,
            leaf=row.leaf,
        )

    return page(rows, lambda row: row.leaf, show, limit, cursor)


def _whose(at: ApiServices, by: Identity) -> str | None:
    return None if at.may(by, "observe") else by.person.subject


async def _names(at: ApiServices) -> dict[str, str]:
    return {row.subject: row.name for row in await asyncio.to_thread(at.store.identities)}


def _title(subjects: tuple[str, ...], names: dict[str, str]) -> str:
    return safe(" -> ".join(names.get(subject, subject) for subject in subjects))
