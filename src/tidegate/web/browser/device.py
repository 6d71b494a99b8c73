"""/device: somebody who is logged in confirms that a terminal is theirs (RFC 8628 section 3.3).

The page says what asks, from where and since when, and shows the code that must stand in the terminal: whoever sends
somebody else a link to this page can have it opened, but not recognised.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from tidegate.identity.devices import Device, tidy
from tidegate.model.event import Json

from .site import At, By, Posted

router = APIRouter()


@router.get("/device")
async def show(at: At, by: By, code: str = "") -> Response:
    """Ask for a code, or show the terminal that shows it."""
    if not code:
        return at.page("device", by, device=None, code="", done="")
    return at.page(
        "device", by, device=at.devices.find(code[:32], by.identity.person.subject), code=tidy(code), done=""
    )


@router.post("/device")
async def look(form: Posted) -> Response:
    """The code that was typed."""
    return RedirectResponse(f"/device?code={tidy(form.get('code', '')[:32])}", 303)


@router.post("/device/answer")
async def answer(at: At, by: By, form: Posted) -> Response:
    """Say whether it is one's own terminal; a no is an event, since somebody tried."""
    yes = form.get("answer") == "yes"
    code, subject = form.get("code", "")[:32], by.identity.person.subject
    device = at.devices.answer(code, subject, yes=yes, login=by.visit.token)
    if not yes:
        _denied(at, by, device)
    return at.page("device", by, device=device, code=device.user_code, done="yes" if yes else "no")


def _denied(at: At, by: By, device: Device) -> None:
    fields: dict[str, Json] = {"code": "login.denied", "more": 0, "by": by.identity.person.subject}
    at.services.log.append("auth.fail", fields, private={"net": device.source.encode()})
