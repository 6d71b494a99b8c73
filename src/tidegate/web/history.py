"""Approvals that are over: their index row, told with what their first intent says in the log.

The index holds no statement. It is opened from the sealed store for one approval at a time, and that is an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from tidegate.model.identity import Identity
from tidegate.store.rows import ApprovalRow

from .openings import Openings
from .services import ApiServices
from .shapes import HeldView
from .shown import safe
from .timeline import statement


async def past(at: ApiServices, by: Identity, limit: int, before: int | None) -> tuple[list[HeldView], int | None]:
    """Approvals below leaf ``before`` that ``by`` may see, newest first, and where the next page starts, if any."""
    rows = await asyncio.to_thread(at.store.approvals, limit=limit, before=before)
    views = await asyncio.to_thread(lambda: [_view(row, _intent(at, row)) for row in rows])
    return [view for view in views if _sees(at, by, view)], rows[-1].leaf if len(rows) == limit else None


async def past_one(at: ApiServices, by: Identity, id: str) -> HeldView | None:
    """One approval with its statement; None if there is none that ``by`` may see."""
    row = await asyncio.to_thread(at.store.approval, id)
    if row is None:
        return None
    intent = await asyncio.to_thread(_intent, at, row)
    view = _view(row, intent)
    if not _sees(at, by, view):
        return None
    at.log.append("replay.opened", {"leaf": row.leaf, "by": by.person.subject})
    await at.log.sync()
    return await asyncio.to_thread(_with_statement, at, view, intent)


def _intent(at: ApiServices, row: ApprovalRow) -> Mapping[str, Any]:
    leaf: Mapping[str, Any] = orjson.loads(at.log.leaf(row.leaf))
    return leaf


def _view(row: ApprovalRow, intent: Mapping[str, Any]) -> HeldView:
    body = orjson.loads(row.body)
    return HeldView(
        id=row.id,
        sid=row.sid,
        state=row.state,
        who=safe(body["requester"]),
        subjects=intent["act"],
        resource=body["resource"],
        rule=body["rule"],
        approved_by=[safe(name) for name in body["approved_by"]],
        asked=body["asked"],
        expires=body["expires"],
        digest=body["digest"],
        bundle=intent["dec"]["ph"],
        answer=safe(body["answer"]),
    )


def _with_statement(at: ApiServices, view: HeldView, intent: Mapping[str, Any]) -> HeldView:
    text, parameters = statement(intent, Openings(at.log.directory, at.replay_identity), [])
    return view.model_copy(update={"statement": text, "parameters": parameters})


def _sees(at: ApiServices, by: Identity, view: HeldView) -> bool:
    mine = by.person.subject in view.subjects or by.person.name in view.approved_by
    return mine or at.may(by, "observe")
