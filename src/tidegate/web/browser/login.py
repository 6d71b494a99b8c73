"""/login, /enrol and /logout: a browser becomes somebody's, by password or a one-time code, until it says otherwise.

A login gives the browser a new cookie whatever it brought, so none can be planted. What went wrong is said on the same
page, without saying which part it was.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidegate.enforcement.access import BROWSER, Minted
from tidegate.errors import AgentError
from tidegate.web.services import source

from .cookies import GUEST, VISIT
from .site import At, By, Posted, Site
from .visits import LIFE
from .ways import HOME, way

router = APIRouter()

CODE = 64
"""Most characters of a one-time code as somebody types it."""


@router.get("/")
async def root() -> Response:
    """The first page."""
    return RedirectResponse(HOME, 303)


@router.get("/login")
async def show(at: At, request: Request, next: str = HOME) -> Response:
    """Ask who it is."""
    return _asked(at, request, way(next))


@router.post("/login")
async def login(at: At, request: Request) -> Response:
    """By name and password, with a one-time password where one is enrolled."""
    form = await at.guest_form(request)
    next, name = way(form.get("next", "")), form.get("name", "").strip()[:63]
    try:
        who, proof = await at.services.credentials.identify(
            name, form.get("password", ""), form.get("otp", "").replace(" ", ""), source(request)
        )
    except AgentError as error:
        return _asked(at, request, next, error, name)
    minted = await at.services.access.login(who, method=proof.method, audience=BROWSER, ttl=LIFE, peer=source(request))
    return welcomed(at, request, minted, RedirectResponse(next, 303))


@router.get("/enrol")
async def newcomer(at: At, request: Request) -> Response:
    """Ask for a one-time code and a first password."""
    return at.guest("enrol", request, message="", hint="")


@router.post("/enrol")
async def enrol(at: At, request: Request) -> Response:
    """Take them; the password takes the place of all that the person had to prove themselves."""
    form = await at.guest_form(request)
    password = form.get("password", "")
    try:
        if password != form.get("again", ""):
            raise AgentError("the two passwords differ", hint="Type the same one twice.", code="password.differs")
        code = form.get("code", "")[:CODE]
        minted = await at.services.access.enrol(code, password, source(request), audience=BROWSER)
    except AgentError as error:
        return at.guest("enrol", request, 401, message=error.message, hint=error.hint)
    return welcomed(at, request, minted, RedirectResponse("/me", 303))


@router.post("/logout")
async def logout(at: At, by: By, _form: Posted) -> Response:
    """End this login, here and in the store."""
    at.visits.end(by.visit)
    await at.services.access.revoke(by.identity, by.caller.claims.id)
    answer = RedirectResponse("/login", 303)
    at.cookies.drop(answer, VISIT)
    return answer


def welcomed(at: Site, request: Request, minted: Minted, answer: Response) -> Response:
    """``answer``, with a fresh cookie for a login; what this browser had before is ended."""
    before = at.visits.find(at.cookies.read(request, VISIT))
    if before is not None:
        at.visits.end(before)
    life = max(1, min(LIFE, minted.claims.expires - at.services.clock.now() // 1_000_000))
    at.cookies.put(answer, VISIT, at.visits.begin(minted), life=life)
    at.cookies.drop(answer, GUEST)
    return answer


def _asked(at: Site, request: Request, next: str, error: AgentError | None = None, name: str = "") -> Response:
    said = {"message": error.message if error else "", "hint": error.hint if error else ""}
    return at.guest(
        "login", request, 401 if error else 200, next=next, typed=name, providers=at.services.federation.ways, **said
    )
