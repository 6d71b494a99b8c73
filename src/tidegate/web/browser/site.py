"""The pages as one application beside the API: what they share, who visits, and what an error looks like.

An error that means "log in first" leads to the login page and back; every other one is a page that says what happened
and what to do. No page is ever shown in another site's frame, and no answer is kept by a cache but static files.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidegate.enforcement.access import BROWSER, Caller
from tidegate.errors import AgentError, Refused, TidegateError
from tidegate.identity.devices import Devices
from tidegate.model.identity import Identity
from tidegate.web.problem import problem, status_of
from tidegate.web.services import ApiServices, source

from .assets import Assets
from .cookies import GUEST, VISIT, Cookies
from .flows import Flows
from .forms import Forms
from .pending import Pending
from .render import Renderer, sentence
from .visits import LIFE, Visit, Visits, kept
from .ways import here, to_login

_logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages use."""

    services: ApiServices
    devices: Devices
    origin: str
    assets: Assets
    visits: Visits
    forms: Forms
    cookies: Cookies
    pending: Pending
    flows: Flows
    renderer: Renderer

    def page(self, name: str, visitor: Visitor | None, /, status: int = 200, **values: Any) -> Response:
        """A page for somebody who is logged in, or for a guest."""
        token = self.forms.token(visitor.visit.key) if visitor else values.pop("form", "")
        now = self.services.clock.now()
        return self.renderer.page(name, status, who=visitor, form=token, now=now, **values)

    def guest(self, name: str, request: Request, /, status: int = 200, **values: Any) -> Response:
        """A page with a form for a browser that has not logged in: its cookie is what the form is bound to."""
        cookie = self.cookies.read(request, GUEST) or secrets.token_urlsafe(32)
        answer = self.page(name, None, status, form=self.forms.token(kept(cookie)), **values)
        self.cookies.put(answer, GUEST, cookie, life=LIFE)
        return answer

    async def guest_form(self, request: Request) -> dict[str, str]:
        """The fields of a form that ``guest`` showed. Raises AgentError ``form.*``."""
        cookie = self.cookies.read(request, GUEST)
        return await self.forms.read(request, kept(cookie) if cookie else "")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    visit: Visit
    caller: Caller

    @property
    def identity(self) -> Identity:
        """A chain of one: the person."""
        return self.caller.identity

    @property
    def name(self) -> str:
        """Their name."""
        return self.identity.person.name


def site(request: Request) -> Site:
    """What all pages use."""
    found = request.app.state.site
    assert isinstance(found, Site)
    return found


At = Annotated[Site, Depends(site)]


async def visitor(request: Request, at: At) -> Visitor:
    """Who is logged in with this browser, as they are at this moment. Raises AgentError ``auth.missing``."""
    # A page that looks again by itself does not use the login: left open, it must not keep it alive.
    using = "again" not in request.query_params
    return await visited(at, at.visits.find(at.cookies.read(request, VISIT), using=using), source(request))


async def visited(at: Site, visit: Visit | None, peer: str) -> Visitor:
    """Whose visit it is, as they are at this moment. Raises AgentError ``auth.missing`` or what ended the login."""
    if visit is None:
        raise AgentError("log in first", hint="Open /login.", code="auth.missing")
    try:
        caller = await at.services.access.authenticate(visit.token, peer, BROWSER)
    except AgentError:
        at.visits.end(visit)
        raise
    return Visitor(visit, caller)


By = Annotated[Visitor, Depends(visitor)]


async def posted(request: Request, at: At, by: By) -> dict[str, str]:
    """The fields of a form that was shown to this visitor. Raises AgentError ``form.*``."""
    return await at.forms.read(request, by.visit.key)


Posted = Annotated[dict[str, str], Depends(posted)]


def build(services: ApiServices, devices: Devices, routers: Sequence[APIRouter]) -> FastAPI:
    """The application that serves the pages."""
    origin = services.settings.public
    secure = origin.startswith("https:")
    assets = Assets()
    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    pages.state.services = services
    pages.state.site = Site(
        services=services,
        devices=devices,
        origin=origin,
        assets=assets,
        visits=Visits(services.clock),
        forms=Forms(origin),
        cookies=Cookies(secure),
        pending=Pending(services.clock),
        flows=Flows(services.clock),
        renderer=Renderer(assets.address, services.settings.organisation, secure=secure),
    )
    for router in routers:
        pages.include_router(router)
    pages.add_api_route("/static/{mark}/{name}", _static)
    for kind in (TidegateError, RequestValidationError, HTTPException, Exception):
        pages.add_exception_handler(kind, _failed)
    return pages


async def _static(at: At, mark: str, name: str) -> Response:
    return at.assets.answer(mark, name)


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        if request.url.path.startswith("/api/"):
            return problem(error.status_code, "request.unknown", f"{error.detail}.", hint="See /api/v1/openapi.json.")
        missing = error.status_code == HTTPStatus.NOT_FOUND
        said = "There is no such page." if missing else "The gateway cannot do anything with this request."
        return _error_page(request, error.status_code, said, "Look whether the address is whole." if missing else "")
    if isinstance(error, RequestValidationError):
        return _error_page(request, 400, "This page was asked for in a way it does not understand.", "")
    if not isinstance(error, TidegateError):
        _logger.error("page.fault", path=request.url.path, error=type(error).__name__)
        return _error_page(request, 500, "The gateway failed to answer.", "Its operator finds more in its log.")
    if isinstance(error, AgentError) and error.code.startswith(("auth.missing", "token.", "identity.")):
        return _login_first(request)
    rule = error.rule if isinstance(error, Refused) else ""
    status = 403 if error.code.startswith("form.") else status_of(error)
    if request.headers.get("accept") == "application/json":
        return problem(status, error.code, sentence(error.message), hint=error.hint, rule=rule)
    return _error_page(request, status, sentence(error.message), error.hint, code=error.code, rule=rule)


def _login_first(request: Request) -> Response:
    """To the login page, or to this very page again: a link from elsewhere comes without the login's cookie."""
    at = site(request)
    if request.method != "GET":
        return RedirectResponse("/login", 303)
    if request.headers.get("sec-fetch-site") == "cross-site" and request.headers.get("sec-fetch-mode") == "navigate":
        return at.renderer.page("onward", next=here(request))
    return RedirectResponse(to_login(here(request)), 303)


def _error_page(request: Request, status: int, message: str, hint: str, *, code: str = "", rule: str = "") -> Response:
    values = {"title": "That did not work", "message": message, "hint": hint, "code": code, "rule": rule}
    return site(request).page("error", None, status, **values)
