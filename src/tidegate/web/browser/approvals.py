"""/approvals: what waits for an answer, and one question as whoever answers it must see it.

These pages are a client of the API's own functions: who sees what, what was shown, and what a yes needs is decided
there. What an agent has written is shown as text, marked as its claim where it is one, and never as anything else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from tidegate.enforcement.access import Caller
from tidegate.errors import AgentError, Refused, TidegateError
from tidegate.model.approval import OPERATION, POLICY
from tidegate.model.proof import action
from tidegate.model.reading import Reading, changes
from tidegate.web import approvals as api
from tidegate.web import impact
from tidegate.web.shapes import Decision, HeldView, ImpactView

from . import proofs
from .site import At, By, Posted, Site, Visitor

router = APIRouter(prefix="/approvals")

PAGES = 5
RECENT = 10

PATIENCE = 3
"""Seconds that a page waits for an estimate."""

Said = Literal["approve", "refuse"]


@router.get("")
async def inbox(at: At, by: By) -> Response:
    """What waits, first what the visitor may answer; then what was answered lately."""
    waiting = await _waiting(at, by)
    rest = await api.listing(at.services, by.caller, "all", RECENT + len(waiting))
    known = {view.id for view in waiting}
    return at.page(
        "approvals",
        by,
        mine=[view for view in waiting if view.may_answer],
        others=[view for view in waiting if not view.may_answer],
        over=[view for view in rest.items if view.id not in known][:RECENT],
        mark=_mark(waiting),
    )


@router.get("/mark")
async def inbox_mark(at: At, by: By) -> dict[str, str]:
    """What the inbox looks like, in short: a page that is open looks whether it is still so."""
    return {"mark": _mark(await _waiting(at, by))}


@router.get("/{id}")
async def show(at: At, by: By, id: str) -> Response:
    """One question, with an estimate of how far it reaches. For who may answer it, that it was shown is an event."""
    return await _page(at, by, id)


@router.post("/{id}/try")
async def attempt(at: At, by: By, id: str, _form: Posted) -> Response:
    """Do what is asked, show what it did, and take it back."""
    return await _page(at, by, id, tried=await impact.attempt(at.services, by.caller, id))


@router.get("/{id}/mark")
async def one_mark(at: At, by: By, id: str) -> dict[str, str]:
    """How it stands, in short; says only what the inbox says."""
    return {"mark": _mark([view for view in await _waiting(at, by) if view.id == id])}


@router.post("/{id}/{said}/passkey")
async def passkey(at: At, by: By, id: str, said: Said, _form: Posted) -> Response:
    """What the browser's own interface needs to sign this very answer."""
    return await proofs.passkey(at, by, await proofs.begun(at, by, await _action(at, by, id, said)))


@router.post("/{id}/{said}")
async def answer(at: At, by: By, id: str, said: Said, form: Posted) -> Response:
    """Say yes or no, with a proof of exactly that."""
    decide, reason = api.approve if said == "approve" else api.refuse, form.get("reason", "")[:2000]

    async def answered(caller: Caller, proof: Mapping[str, str]) -> object:
        return await decide(at.services, caller, id, Decision(proof=dict(proof), reason=reason))

    offered = proofs.offered(form)
    if not offered:
        return await proofs.done(at, by, answered, f"/approvals/{id}")
    try:
        await answered(by.caller, offered)
    except (AgentError, Refused) as error:
        if not error.code.startswith(("stepup.", "auth.slowed", "approval.signature")):
            raise
        return await _page(at, by, id, error)
    return RedirectResponse(f"/approvals/{id}", 303)


async def _page(
    at: Site, by: Visitor, id: str, error: AgentError | Refused | None = None, tried: ImpactView | None = None
) -> Response:
    view = await api.show(at.services, by.caller, id)
    reading = await _reading(at, view)
    waiting = [view] if view.state == "waiting" else []
    return at.page(
        "approval",
        by,
        401 if error else 200,
        view=view,
        parts=list(reading.parts()),
        laid_out=reading.text != view.statement,
        methods=await proofs.methods(at, by) if view.may_answer else None,
        sensitive=_sensitive(at, view),
        impact=tried or await _estimate(at, by, view),
        answered=any(yes.subject == by.identity.person.subject for yes in view.yes),
        error=error,
        mark=_mark(waiting),
    )


async def _action(at: Site, by: Visitor, id: str, said: Said) -> bytes:
    view = await api.show(at.services, by.caller, id)
    if not view.may_answer:
        raise Refused("this does not wait for your answer", hint="Look at it again.", code="approval.closed")
    return action(said, id, view.digest)


async def _estimate(at: Site, by: Visitor, view: HeldView) -> ImpactView | None:
    """How far it reaches; None for what has no reach. A resource that is slow to say must not keep the page back."""
    if view.matter != OPERATION or not view.may_answer:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            return await impact.estimate(at.services, by.caller, view.id)
    except TimeoutError:
        return ImpactView(unknown=f"the resource did not say within {PATIENCE} seconds")
    except TidegateError as error:
        return ImpactView(unknown=error.message)


async def _reading(at: Site, view: HeldView) -> Reading:
    """The statement for people to read: an operation in its own language, a policy as what changes in it."""
    if view.matter == OPERATION:
        return await asyncio.to_thread(at.services.reading, view.resource, view.statement)
    return changes(view.statement) if view.matter == POLICY else Reading(view.statement)


def _sensitive(at: Site, view: HeldView) -> list[str]:
    """Fields with a tag in what the statement touches."""
    resource = at.services.settings.resources.get(view.resource)
    tags = resource.tags if resource is not None else {}
    return [f"{field} ({tag})" for field, tag in tags.items() if field.object in view.objects]


async def _waiting(at: Site, by: Visitor) -> list[HeldView]:
    found: list[HeldView] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await api.listing(at.services, by.caller, "waiting", 100, cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            break
    return found


def _mark(views: Sequence[HeldView]) -> str:
    told: list[Any] = [[view.id, view.state, len(view.yes), view.escalated, view.may_answer] for view in views]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]
