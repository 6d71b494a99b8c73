"""/api/v1/audit: the events, for who observes the gateway. Opening what is sealed is an event itself."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Response

from tidegate.audit.library import Reader
from tidegate.audit.tree import leaf_hash
from tidegate.errors import AgentError

from .leaves import newest_of
from .openings import Openings
from .pages import Cursor, Limit, places
from .services import ApiServices, By, Services
from .shapes import LeafShown, Page
from .shown import safe

router = APIRouter(prefix="/audit", tags=["audit"])
Kind = Annotated[str | None, Query(max_length=64, description="Only this kind of event.")]
Worker = Annotated[int | None, Query(ge=0, le=255, description="Only the log of this worker; 0 is the gateway's own.")]


@router.get("/leaves")
async def leaves(
    at: Services, by: By, kind: Kind = None, worker: Worker = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[dict[str, Any]]:
    """List events, newest first, without what is sealed. A page may be short and still have a next one.

    Where there are workers, their logs and the gateway's own are merged by time, unless one is asked for.
    """
    at.demand(by.identity, "observe", "read the audit log")
    logs = await at.logs.all() if worker is None else {worker: await at.logs.of_worker(worker)}
    found, rest = await asyncio.to_thread(newest_of, logs, places(cursor), kind, limit)
    return Page(items=found, next="-".join(f"{number}.{index}" for number, index in rest.items()) or None)


@router.get("/leaves/{index}")
async def leaf(
    at: Services, by: By, index: Annotated[int, Path(ge=0)], worker: Annotated[int, Query(ge=0, le=255)] = 0
) -> LeafShown:
    """Show one event with its sealed parts opened; that somebody looked is in the log first."""
    at.demand(by.identity, "observe", "read the audit log")
    log = await at.logs.of_worker(worker)
    if index >= log.size:
        raise AgentError("The log has no such leaf.", code="leaf.unknown", hint=f"It has {log.size}, counted from 0.")
    at.log.append("replay.opened", {"leaf": index, "worker": worker, "by": by.identity.person.subject})
    await at.log.settled()
    return await asyncio.to_thread(_show, at, log, index)


@router.get("/checkpoint", response_class=Response)
async def checkpoint(at: Services, by: By) -> Response:
    """The latest signed checkpoint (C2SP tlog-checkpoint), as text."""
    at.demand(by.identity, "observe", "read the audit log")
    return Response(at.log.checkpoint(), media_type="text/plain; charset=utf-8")


def _show(at: ApiServices, log: Reader, index: int) -> LeafShown:
    entry = log.leaf(index)
    body = orjson.loads(entry)
    opened, closed = Openings(log.directory, at.replay_identity).all(body)
    return LeafShown(
        leaf=body,
        hash=leaf_hash(entry).hex(),
        opened={name: safe(text, lines=True) for name, text in opened.items()},
        closed=closed,
    )
