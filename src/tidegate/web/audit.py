"""/api/v1/audit: the events, for who observes the gateway. Opening what is sealed is an event itself."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Response

from tidegate.audit.tree import leaf_hash
from tidegate.errors import AgentError

from .leaves import newest
from .openings import Openings
from .pages import Cursor, Limit, place
from .services import ApiServices, By, Services
from .shapes import LeafShown, Page
from .shown import safe

router = APIRouter(prefix="/audit", tags=["audit"])
Kind = Annotated[str | None, Query(max_length=64, description="Only this kind of event.")]


@router.get("/leaves")
async def leaves(
    at: Services, by: By, kind: Kind = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[dict[str, Any]]:
    """List events, newest first, without what is sealed. A page may be short and still have a next one."""
    at.demand(by.identity, "observe", "read the audit log")
    found, rest = await asyncio.to_thread(newest, at.log, place(cursor), kind, limit)
    return Page(items=found, next=None if rest is None else str(rest))


@router.get("/leaves/{index}")
async def leaf(at: Services, by: By, index: Annotated[int, Path(ge=0)]) -> LeafShown:
    """Show one event with its sealed parts opened; that somebody looked is in the log first."""
    at.demand(by.identity, "observe", "read the audit log")
    if index >= at.log.size:
        raise AgentError(
            "The log has no such leaf.", code="leaf.unknown", hint=f"It has {at.log.size}, counted from 0."
        )
    at.log.append("replay.opened", {"leaf": index, "by": by.identity.person.subject})
    await at.log.sync()
    return await asyncio.to_thread(_show, at, index)


@router.get("/checkpoint", response_class=Response)
async def checkpoint(at: Services, by: By) -> Response:
    """The latest signed checkpoint (C2SP tlog-checkpoint), as text."""
    at.demand(by.identity, "observe", "read the audit log")
    return Response(at.log.checkpoint(), media_type="text/plain; charset=utf-8")


def _show(at: ApiServices, index: int) -> LeafShown:
    entry = at.log.leaf(index)
    body = orjson.loads(entry)
    opened, closed = Openings(at.log.directory, at.replay_identity).all(body)
    return LeafShown(
        leaf=body,
        hash=leaf_hash(entry).hex(),
        opened={name: safe(text, lines=True) for name, text in opened.items()},
        closed=closed,
    )
