"""/api/v1/sessions: what is going on and what went on. A person sees their own; who observes the gateway sees all."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter

from tidegate.enforcement.sessions import SessionView
from tidegate.errors import Refused
from tidegate.model.identity import Identity
from tidegate.store.rows import SessionRow

from .pages import Cursor, Limit, place
from .services import ApiServices, By, Services
from .shapes import Answer, Page, Replay, SessionShown
from .shown import safe
from .timeline import timeline

router = APIRouter(prefix="/sessions", tags=["sessions"])
_COUNTS = ("operations", "refused", "held", "masked")
_BATCH = 200


@router.get("")
async def listing(
    at: Services, by: By, state: Literal["live", "all"] = "all", limit: Limit = 50, cursor: Cursor = None
) -> Page[SessionShown]:
    """List sessions, newest first."""
    live = {view.sid: view for view in await at.sessions.live() if _sees(at, by.identity, view.identity.person.subject)}
    views = [_of_live(view) for view in live.values() if cursor is None]
    if state == "live":
        return Page(items=sorted(views, key=lambda view: view.started, reverse=True))
    rows, more = await _rows(at, by.identity, limit, place(cursor))
    over = [row for row in rows if row.sid not in live]
    views += await asyncio.to_thread(lambda: [_of_row(at, row) for row in over])
    return Page(items=sorted(views, key=lambda view: view.started, reverse=True), next=more)


@router.get("/{sid}")
async def show(at: Services, by: By, sid: str) -> SessionShown:
    """Show one session."""
    view, _ = await _find(at, by.identity, sid)
    return view


@router.get("/{sid}/replay")
async def replay(at: Services, by: By, sid: str, limit: Limit = 100, cursor: Cursor = None) -> Replay:
    """Replay a session from the log, oldest operation first. That somebody looked is logged before a byte is sent."""
    view, _ = await _find(at, by.identity, sid)
    at.log.append("replay.opened", {"of_sid": sid, "by": by.identity.person.subject})
    await at.log.settled()
    return await timeline(at, view, place(cursor) or 0, limit)


@router.post("/{sid}/kill")
async def kill(at: Services, by: By, sid: str, body: Answer) -> SessionShown:
    """End a live session: one's own, or any with the ability to operate the gateway."""
    view, person = await _find(at, by.identity, sid)
    if person != by.identity.person.subject:
        at.demand(by.identity, "operate", "end the sessions of others")
    await at.sessions.kill(sid, by.identity, body.reason)
    return view


async def _find(at: ApiServices, by: Identity, sid: str) -> tuple[SessionShown, str]:
    """The session and its person's subject. Raises Refused ``session.unknown`` also for what the caller may not see."""
    for view in await at.sessions.live():
        if view.sid == sid and _sees(at, by, view.identity.person.subject):
            return _of_live(view), view.identity.person.subject
    row = await asyncio.to_thread(at.store.session, sid)
    if row is None or not _sees(at, by, row.subjects[0]):
        raise Refused(
            "There is no such session that you may see.", code="session.unknown", hint="See: tidegate sessions ls"
        )
    return await asyncio.to_thread(_of_row, at, row), row.subjects[0]


async def _rows(at: ApiServices, by: Identity, limit: int, before: int | None) -> tuple[list[SessionRow], str | None]:
    """Up to ``limit`` visible rows older than ``before``, and the cursor for more."""
    found: list[SessionRow] = []
    while True:
        rows = await asyncio.to_thread(at.store.sessions, limit=_BATCH, before=before)
        for row in rows:
            before = row.started
            if _sees(at, by, row.subjects[0]):
                found.append(row)
                if len(found) == limit:
                    return found, str(before)
        if len(rows) < _BATCH:
            return found, None


def _sees(at: ApiServices, by: Identity, person: str) -> bool:
    return person == by.person.subject or at.may(by, "observe")


def _of_live(view: SessionView) -> SessionShown:
    counts = {name: value for name, value in asdict(view).items() if name in _COUNTS}
    return SessionShown(
        sid=view.sid, state=view.state, title=safe(view.identity.title), resource=view.resource,
        started=view.started, ended=None, reason="", worker=view.worker, **counts,
    )  # fmt: skip


def _of_row(at: ApiServices, row: SessionRow) -> SessionShown:
    counts = {name: getattr(row, name) for name in _COUNTS}
    return SessionShown(
        sid=row.sid, state="ended", title=safe(row.title), resource=row.resource,
        started=row.started, ended=row.ended, reason=safe(row.reason),
        worker=at.logs.worker_of(row.sid), **counts,
    )  # fmt: skip
