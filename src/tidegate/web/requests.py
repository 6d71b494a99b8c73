"""/api/v1/requests: access that is asked for, by people and by agents themselves, and what became of it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from tidegate.enforcement.grants import REQUESTED
from tidegate.errors import Refused
from tidegate.model.approval import WAITING
from tidegate.model.identity import Identity
from tidegate.store.rows import GrantRow

from .askers import asker, chained, presented, sees
from .pages import Cursor, Limit, page
from .services import ApiServices, By, Services
from .shapes import Access, AnswerState, Page, RequestView
from .shown import safe

router = APIRouter(tags=["requests"])
Seconds = Annotated[int, Query(ge=0, le=60, description="Seconds to wait for an answer.")]


@router.post("/requests", status_code=201, dependencies=[Depends(presented)])
async def new(at: Services, request: Request, body: Access) -> RequestView:
    """Ask for access to a resource, as a person for oneself or an agent of one's own, or as an agent for itself."""
    by = await asker(at, request, body.resource)
    identity = await chained(at, by, body.agent)
    row = await at.grants.request(identity, body.resource, body.seconds, body.reason, by=by.actor.subject)
    return await _view(at, row)


@router.get("/requests")
async def listing(at: Services, by: By, limit: Limit = 50, cursor: Cursor = None) -> Page[RequestView]:
    """List requests, newest first: one's own and those of one's agents, or all for who observes the gateway."""
    whose = None if at.may(by.identity, "observe") else by.identity.person.subject
    rows = [row for row in await asyncio.to_thread(at.store.grants, whose) if row.seconds]
    names = await _names(at)
    return page(rows, lambda row: row.leaf, lambda row: _shown(row, names), limit, cursor)


@router.get("/requests/{id}")
async def show(at: Services, request: Request, id: str, wait: Seconds = 0) -> RequestView:
    """Show a request; with ``wait``, once it is answered, or after that time."""
    row, by = await _find(at, request, id)
    if wait and row.state == REQUESTED:
        with at.waits.place(by.person.subject):
            row = await at.grants.wait(row, wait)
    return await _view(at, row)


@router.get("/requests/{id}/events")
async def events(at: Services, request: Request, id: str) -> StreamingResponse:
    """Follow a request by server-sent events: ``state``, with what ``show`` gives, until it is answered."""
    row, by = await _find(at, request, id)

    async def look(patience: float) -> BaseModel:
        return await _view(at, await at.grants.wait(row, patience))

    return at.waits.stream(by.person.subject, look, lambda view: getattr(view, "state", "") != REQUESTED)


@router.post("/requests/{id}/withdraw")
async def withdraw(at: Services, request: Request, id: str) -> RequestView:
    """Take a request back that nobody has answered yet."""
    row, by = await _find(at, request, id)
    if by.person.subject != row.subjects[0]:
        at.demand(by, "operate", "withdraw what others asked for")
    await at.grants.withdraw(row, by.actor.subject)
    return await _view(at, await at.grants.wait(row, 0))


@router.get("/approvals/{id}/events")
async def answers(at: Services, request: Request, id: str) -> StreamingResponse:
    """Follow an approval by server-sent events, as a person or as the agent that asked, until it is answered."""
    held = await at.approvals.find(id)
    by = await asker(at, request, held.question.resource if held else "")
    if held is None or not sees(at, by, tuple(hop.subject for hop in held.question.requester.chain)):
        raise Refused("there is no such approval that you may see", code="approval.unknown")

    async def look(patience: float) -> BaseModel:
        now = await at.approvals.wait(id, patience)
        return AnswerState(id=id, state=now.state, answer=safe(now.answer), expires=now.expires)

    return at.waits.stream(by.person.subject, look, lambda view: getattr(view, "state", "") != WAITING)


async def _find(at: ApiServices, request: Request, id: str) -> tuple[GrantRow, Identity]:
    """The request and who asks. Raises Refused ``grant.unknown`` also for what the caller may not see."""
    row = await asyncio.to_thread(at.store.grant, id)
    by = await asker(at, request, row.resource if row else "")
    if row is None or not row.seconds or not sees(at, by, row.subjects):
        raise Refused(
            "there is no such request that you may see", hint="See: tidegate request ls", code="grant.unknown"
        )
    return row, by


async def _view(at: ApiServices, row: GrantRow) -> RequestView:
    return _shown(row, await _names(at))


async def _names(at: ApiServices) -> dict[str, str]:
    return {row.subject: row.name for row in await asyncio.to_thread(at.store.identities)}


def _shown(row: GrantRow, names: dict[str, str]) -> RequestView:
    return RequestView(
        id=row.id,
        state=row.state,
        kind=row.kind,
        title=safe(" -> ".join(names.get(subject, subject) for subject in row.subjects)),
        subjects=list(row.subjects),
        resource=row.resource,
        seconds=row.seconds,
        expires=row.expires,
        reason=safe(row.reason),
        rule=row.rule,
        approval=row.approval,
    )
