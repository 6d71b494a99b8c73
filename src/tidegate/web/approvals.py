"""/api/v1/approvals: what waits for a person.

A person sees what their own chain asked for and what they may decide; who observes the gateway sees all. Showing a
held operation to somebody who may answer is an event of its own, so that the log says what the approver had seen.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from tidegate.enforcement.approvals import Held, may_answer
from tidegate.errors import Refused
from tidegate.model.identity import Identity

from .history import past, past_one
from .pages import Cursor, Limit, page, place
from .services import ApiServices, By, Services
from .shapes import Answer, HeldView, Page
from .shown import safe

router = APIRouter(prefix="/approvals", tags=["approvals"])


def held_view(held: Held, by: Identity | None = None) -> HeldView:
    """A held operation as people see it; the history keeps this too."""
    return HeldView(
        id=held.id,
        sid=held.sid,
        state=held.state,
        who=safe(held.requester.title),
        subjects=[hop.subject for hop in held.requester.chain],
        resource=held.resource,
        statement=safe(held.statement, lines=True),
        parameters=safe(held.parameters, lines=True),
        reason=safe(held.reason),
        stated_by=held.requester.actor.kind.value,
        rule=held.rule,
        because=safe(held.because),
        needs=[f"{each.count} of {' or '.join(each.groups)} (rule {each.rule})" for each in held.approvers],
        approved_by=list(held.approved_by),
        asked=held.asked,
        expires=held.expires,
        digest=held.digest,
        bundle=held.bundle,
        answer=safe(held.answer),
        may_answer=by is not None and held.state == "waiting" and _may_answer(held, by),
    )


@router.get("")
async def listing(
    at: Services, by: By, state: Literal["waiting", "all"] = "waiting", limit: Limit = 50, cursor: Cursor = None
) -> Page[HeldView]:
    """List held operations: those that wait, or all, which are then followed by those that are over."""
    waiting = [held_view(held, by.identity) for held in at.approvals.waiting() if _sees(at, by.identity, held)]
    if state == "waiting":
        return page(waiting, lambda view: view.asked, lambda view: view, limit, cursor)
    over, rest = await past(at, by.identity, limit, place(cursor))
    first = [] if cursor else sorted(waiting, key=lambda view: view.asked, reverse=True)
    known = {view.id for view in waiting}
    return Page(items=first + [view for view in over if view.id not in known], next=None if rest is None else str(rest))


@router.get("/{id}")
async def show(at: Services, by: By, id: str) -> HeldView:
    """Show exactly what would run, or what became of it."""
    held = at.approvals.get(id)
    if held is None:
        view = await past_one(at, by.identity, id)
        if view is None:
            raise _unknown()
        return view
    if not _sees(at, by.identity, held):
        raise _unknown()
    if _may_answer(held, by.identity):
        held = await at.approvals.shown(id, by.identity) or held
    return held_view(held, by.identity)


@router.post("/{id}/approve")
async def approve(at: Services, by: By, id: str) -> HeldView:
    """Let it run, once. The caller must be of a group the rule names and not in the requester's chain."""
    return held_view(await at.approvals.approve(id, by.identity), by.identity)


@router.post("/{id}/refuse")
async def refuse(at: Services, by: By, id: str, body: Answer) -> HeldView:
    """Say no; nothing runs."""
    return held_view(await at.approvals.refuse(id, by.identity, body.reason), by.identity)


def _unknown() -> Refused:
    return Refused(
        "there is no such approval that you may see", code="approval.unknown", hint="See: tidegate approvals ls"
    )


def _sees(at: ApiServices, by: Identity, held: Held) -> bool:
    own = by.person.subject in held.requester.subjects
    return own or _may_answer(held, by) or at.may(by, "observe")


def _may_answer(held: Held, by: Identity) -> bool:
    try:
        may_answer(held, by)
    except Refused:
        return False
    return True
