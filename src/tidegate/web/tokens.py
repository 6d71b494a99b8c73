"""/api/v1/tokens and /api/v1/grants: minted for oneself and one's own agents, ended at once.

A person sees their own; who observes the gateway sees all. Tokens themselves are kept nowhere.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from tidegate.enforcement.access import LOGIN
from tidegate.model.identity import Identity
from tidegate.store.rows import GrantRow, TokenRow

from .pages import Cursor, Limit, page
from .services import ApiServices, By, Services
from .shapes import GrantView, Mint, Minted, Page, Revoked, TokenView
from .shown import safe

router = APIRouter(tags=["tokens"])


@router.post("/tokens", status_code=201)
async def mint(at: Services, by: By, body: Mint) -> Minted:
    """Mint a token and the grant it needs. The token is shown once."""
    minted = await at.access.mint(
        by.identity,
        person=body.person,
        agent=body.agent or None,
        resource=body.resource,
        ttl=body.ttl,
        reason=body.reason,
    )
    return Minted(
        token=minted.token,
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
            resource=grant.resource if grant else LOGIN,
            grant=row.grant,
            expires=row.expires // 1_000_000,
            state="revoked" if row.revoked else "active" if row.expires > now else "expired",
            leaf=row.leaf,
        )

    return page(rows, lambda row: row.leaf, show, limit, cursor)


@router.delete("/tokens/{id}")
async def revoke(at: Services, by: By, id: str) -> Revoked:
    """End a token or a grant, and the open sessions it carries: one's own, or any with the ability to operate."""
    return Revoked(tokens=await at.access.revoke(by.identity, id))


@router.get("/grants")
async def grants(at: Services, by: By, limit: Limit = 50, cursor: Cursor = None) -> Page[GrantView]:
    """List grants, newest first."""
    rows = await asyncio.to_thread(at.store.grants, _whose(at, by.identity))
    names = await _names(at)
    now = at.clock.now()

    def show(row: GrantRow) -> GrantView:
        return GrantView(
            id=row.id,
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
