"""/prove/ID: prove that it is you, for one action that is written there, whoever waits for it.

A terminal that waits goes on by itself once it is proven; what a page has asked for is done at once.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from tidegate.errors import AgentError, Refused
from tidegate.web import approvals as api
from tidegate.web.services import source
from tidegate.web.shapes import HeldView

from . import proofs
from .site import At, By, Posted, Site, Visitor

router = APIRouter(prefix="/prove")

_ANSWERS = ("approve", "refuse")


@router.get("/{id}")
async def show(at: At, by: By, id: str) -> Response:
    """The action, and how it can be proven."""
    return await _page(at, by, id)


@router.post("/{id}/passkey")
async def passkey(at: At, by: By, id: str, _form: Posted) -> Response:
    """What the browser's own interface needs."""
    return await proofs.passkey(at, by, id)


@router.post("/{id}")
async def prove(at: At, by: By, id: str, request: Request, form: Posted) -> Response:
    """Take the proof; then do what waited for it here, or say that the terminal goes on."""
    try:
        await at.services.credentials.fulfil(by.identity, id, proofs.offered(form), peer=source(request))
    except AgentError as error:
        if error.code == "stepup.required":
            return await _page(at, by, id)
        if not error.code.startswith(("stepup.", "auth.slowed")):
            raise
        return await _page(at, by, id, error)
    return await proven(at, by, id)


async def proven(at: Site, by: Visitor, id: str) -> Response:
    """Go on after a proof."""
    waiting = at.pending.take(id, by.visit.key)
    if waiting is None:
        return at.page("proven", by)
    await waiting.deed(by.caller, {"method": "browser", "challenge": id})
    return RedirectResponse(waiting.next, 303)


async def _page(at: Site, by: Visitor, id: str, error: AgentError | None = None) -> Response:
    challenge = at.services.credentials.challenge(by.identity, id)
    _, verb, *about = challenge.action.decode().split("\n")
    return at.page(
        "prove",
        by,
        401 if error else 200,
        id=id,
        words=challenge.words,
        view=await _asked(at, by, about[0]) if verb in _ANSWERS and about else None,
        methods=await proofs.methods(at, by),
        providers=at.services.federation.ways,
        error=error,
    )


async def _asked(at: Site, by: Visitor, id: str) -> HeldView | None:
    """What an answer is about, if it can still be seen."""
    try:
        return await api.show(at.services, by.caller, id)
    except Refused:
        return None
