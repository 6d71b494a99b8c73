"""/api/v1/secrets: what the gateway keeps itself to log in upstream. Values go in and never come out."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path

from tidegate.enforcement.custody import Kept

from .services import ApiServices, By, Services
from .shapes import NewSecret, Page, SecretView
from .shown import safe

router = APIRouter(prefix="/secrets", tags=["secrets"])

SecretName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


@router.get("")
async def listing(at: Services, by: By) -> Page[SecretView]:
    """List secrets without their values. Needs the ability to observe the gateway."""
    found = await at.custody.listing(by.identity)
    names = await _names(at)
    return Page(items=[_view(kept, names) for kept in found])


@router.put("/{name}")
async def put(at: Services, by: By, name: SecretName, body: NewSecret) -> SecretView:
    """Keep a value, new or in place of another; it counts for the next connection. Needs the ability to operate."""
    kept = await at.custody.put(by.identity, name, body.value.get_secret_value())
    return _view(kept, await _names(at))


@router.delete("/{name}")
async def remove(at: Services, by: By, name: SecretName) -> SecretView:
    """Forget a secret; connections that need it are refused from now on. Needs the ability to operate."""
    kept = await at.custody.remove(by.identity, name)
    return _view(kept, await _names(at))


async def _names(at: ApiServices) -> dict[str, str]:
    return {row.subject: row.name for row in await asyncio.to_thread(at.store.identities)}


def _view(kept: Kept, names: dict[str, str]) -> SecretView:
    by = safe(names.get(kept.by, kept.by))
    return SecretView(name=kept.name, by=by, changed=kept.changed, leaf=kept.leaf, resources=list(kept.resources))
