"""/api/v1/approvals: what waits for a person.

A person sees what their own chain asked for and what they may decide; who observes the gateway sees all. What an
approver was shown is an event of its own, by its hash, so that the log says what they had seen when they answered.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query

from tidegate.enforcement.answers import SIGNED, may_answer
from tidegate.enforcement.kept import held_of
from tidegate.errors import Refused
from tidegate.model.approval import APPROVED, WAITING, Held
from tidegate.model.identity import Identity
from tidegate.model.proof import action

from .pages import Cursor, Limit, place
from .services import ApiServices, By, Services
from .shapes import ChainHop, Decision, HeldView, Page, YesView
from .shown import safe
from .stepup import proven

router = APIRouter(prefix="/approvals", tags=["approvals"])

SILENT = Decision()
Seconds = Annotated[int, Query(ge=0, le=60, description="Seconds to wait for an answer.")]


@router.get("")
async def listing(
    at: Services, by: By, state: Literal["waiting", "all"] = "waiting", limit: Limit = 50, cursor: Cursor = None
) -> Page[HeldView]:
    """List what is asked: what waits, or all, newest first; what is over comes without its statement."""
    if state == "waiting":
        held = [each for each in await at.approvals.waiting() if _sees(at, by.identity, each)]
        return _page([held_view(each, by.identity) for each in held], limit, cursor)
    rows = await asyncio.to_thread(at.store.approvals, limit, place(cursor))
    found = await asyncio.to_thread(lambda: [held_of(row, at.box) for row in rows])
    views = [_brief(each, by.identity) for each in found if _sees(at, by.identity, each)]
    return Page(items=views, next=str(rows[-1].asked) if len(rows) == limit else None)


@router.get("/{id}")
async def show(at: Services, by: By, id: str, wait: Seconds = 0) -> HeldView:
    """Show exactly what would run, or what became of it; with ``wait``, once it is answered, or after that time."""
    held = await at.approvals.find(id)
    if held is None or not _sees(at, by.identity, held):
        return await _past(at, by.identity, id)
    if wait and held.state == WAITING:
        with at.waits.place(by.identity.person.subject):
            held = await at.approvals.wait(id, wait)
    view = held_view(held, by.identity)
    if view.may_answer:
        await at.approvals.shown(id, by.identity, shown_digest(view))
    return view


@router.post("/{id}/approve")
async def approve(at: Services, by: By, id: str, body: Decision = SILENT) -> HeldView:
    """Let it run, once. The caller must be of a group the rule names and have no part in the request."""
    held = await _answerable(at, by.identity, id)
    proof = await proven(at, by, action("approve", id, held.question.digest), body.proof)
    return held_view(await at.approvals.approve(id, by.identity, proof), by.identity)


@router.post("/{id}/refuse")
async def refuse(at: Services, by: By, id: str, body: Decision = SILENT) -> HeldView:
    """Say no; nothing runs."""
    held = await _answerable(at, by.identity, id)
    proof = await proven(at, by, action("refuse", id, held.question.digest), body.proof)
    return held_view(await at.approvals.refuse(id, by.identity, body.reason, proof), by.identity)


def held_view(held: Held, by: Identity | None = None) -> HeldView:
    """What people are asked, as ``by`` sees it."""
    question = held.question
    chain = question.requester.chain
    return HeldView(
        id=held.id,
        matter=question.matter,
        sid=question.sid,
        state=held.state,
        who=safe(question.requester.title),
        chain=[
            ChainHop(name=safe(hop.name), subject=hop.subject, kind=hop.kind.value, proof=hop.proof) for hop in chain
        ],
        subjects=[hop.subject for hop in chain],
        resource=question.resource,
        statement=safe(question.statement, lines=True),
        parameters=safe(question.parameters, lines=True),
        command=[safe(str(fact.get("command", ""))) for fact in question.facts],
        objects=_objects(held),
        reason=safe(question.reason),
        stated_by=question.requester.actor.kind.value,
        rule=question.rule,
        because=safe(question.because),
        needs=_needs(held),
        approved_by=[safe(answer.name) for answer in held.yes],
        yes=[
            YesView(
                name=safe(answer.name), subject=answer.subject, at=answer.moment, method=answer.method,
                signed=answer.method in SIGNED,
            )
            for answer in held.yes
        ],
        asked=held.asked,
        expires=held.expires,
        escalated=held.escalated > 0,
        digest=question.digest,
        bundle=question.bundle,
        answer=safe(held.answer),
        may_answer=by is not None and held.state == WAITING and _may_answer(held, by),
    )  # fmt: skip


def shown_digest(view: HeldView) -> str:
    """The SHA-256 of what does not change while it is looked at, as canonical JSON."""
    fixed = view.model_dump(exclude={"state", "yes", "approved_by", "expires", "escalated", "answer", "may_answer"})
    return hashlib.sha256(orjson.dumps(fixed, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _objects(held: Held) -> list[str]:
    found: dict[str, None] = {}
    for fact in held.question.facts:
        for name in ("writes", "reads"):
            objects = fact.get(name)
            for each in objects if isinstance(objects, list | tuple) else ():
                found[safe(str(each))] = None
    return list(found)[:100]


def _needs(held: Held) -> list[str]:
    return [
        f"{each.count} of {' or '.join(held.groups(each))}{', signed' if each.signed else ''} (rule {each.rule})"
        for each in held.question.approvers
    ]


def _brief(held: Held, by: Identity) -> HeldView:
    view = held_view(held, by)
    if held.state in (WAITING, APPROVED):
        return view
    return view.model_copy(update={"statement": "", "parameters": "", "stated_by": ""})


def _page(views: list[HeldView], limit: int, cursor: Cursor) -> Page[HeldView]:
    below = place(cursor)
    left = sorted((view for view in views if below is None or view.asked < below), key=lambda view: -view.asked)
    return Page(items=left[:limit], next=str(left[limit - 1].asked) if len(left) > limit else None)


async def _past(at: ApiServices, by: Identity, id: str) -> HeldView:
    """An approval that is over, by the store; looking at its statement is an event."""
    row = await asyncio.to_thread(at.store.approval, id)
    held = await asyncio.to_thread(held_of, row, at.box) if row is not None else None
    if row is None or held is None or not _sees(at, by, held):
        raise _unknown()
    at.log.append("replay.opened", {"leaf": row.leaf, "by": by.person.subject})
    await at.log.sync()
    return held_view(held, by)


async def _answerable(at: ApiServices, by: Identity, id: str) -> Held:
    """What ``by`` is about to answer. Raises Refused before anybody is asked for a proof."""
    held = await at.approvals.find(id)
    if held is None or held.state != WAITING or not _sees(at, by, held):
        raise _unknown()
    may_answer(held, by)
    return held


def _unknown() -> Refused:
    return Refused(
        "there is no such approval that you may see", code="approval.unknown", hint="See: tidegate approvals ls"
    )


def _sees(at: ApiServices, by: Identity, held: Held) -> bool:
    own = by.person.subject in held.question.requester.subjects or any(
        answer.subject == by.person.subject for answer in held.yes
    )
    return own or _may_answer(held, by) or at.may(by, "observe")


def _may_answer(held: Held, by: Identity) -> bool:
    try:
        may_answer(held, by)
    except Refused:
        return False
    return True
