"""/login/NAME: to an identity provider and back, for a login or as the proof that somebody is there.

The way back ends in a page that leads on by itself, since a redirect that began at another site would come without the
login's strict cookie. The answer counts only in the browser that began, once, and for a proof only for the very login
and action that it was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from tidegate.enforcement.access import BROWSER
from tidegate.errors import AgentError
from tidegate.identity.providers import FLOW_LIFE
from tidegate.web.services import source

from . import prove
from .cookies import FLOW
from .flows import Way
from .login import welcomed
from .site import At, By, Posted, Site, visited
from .ways import HOME, way

router = APIRouter()

FIELDS = 10


@router.get("/login/{name}")
async def begin(at: At, request: Request, name: str, next: str = HOME) -> Response:
    """Send the browser to a provider to log in."""
    begun = await at.services.federation.begin(name)
    return _bound(at, RedirectResponse(begun.url, 303), Way(begun.flow, way(next), source(request)))


@router.post("/prove/{id}/login/{name}")
async def prove_there(at: At, by: By, _form: Posted, request: Request, id: str, name: str) -> Response:
    """Send the browser to a provider to log in anew, as the proof that a challenge asks for.

    Only a press on the page that says the action leads there, no link: the provider's page does not know what for.
    """
    at.services.credentials.challenge(by.identity, id)
    begun = await at.services.federation.begin(name, fresh=True)
    proof = Way(begun.flow, HOME, source(request), challenge=id, visit=by.visit.key)
    # A page and no redirect: what a form is sent to may not lead elsewhere by the page's own policy.
    return _bound(at, at.renderer.page("onward", next=begun.url), proof)


@router.get("/login/{name}/callback")
async def back(at: At, request: Request, name: str) -> Response:
    """Back from a provider that answers by redirect."""
    return await _back(at, request, name, _single(request))


@router.post("/login/{name}/acs")
async def posted(at: At, request: Request, name: str) -> Response:
    """Back from a provider that answers by a form: sent on to come again with this site's cookies."""
    async with request.form(max_files=0, max_fields=FIELDS) as form:
        answer = {key: value for key, value in form.items() if isinstance(value, str)}
    ticket = at.flows.set_aside(answer)
    return RedirectResponse(f"/login/{quote(name, safe='')}/acs?answer={ticket}", 303)


@router.get("/login/{name}/acs")
async def came_back(at: At, request: Request, name: str, answer: str = "") -> Response:
    """The answer that was posted."""
    return await _back(at, request, name, at.flows.fetch(answer[:64]))


async def _back(at: Site, request: Request, name: str, answer: Mapping[str, str]) -> Response:
    begun = at.flows.take(at.cookies.read(request, FLOW), name)
    done = await (_proven if begun.challenge else _logged_in)(at, request, begun, answer)
    at.cookies.drop(done, FLOW)
    return done


async def _logged_in(at: Site, request: Request, begun: Way, answer: Mapping[str, str]) -> Response:
    minted = await at.services.federation.login(begun.flow, answer, peer=source(request), audience=BROWSER)
    return welcomed(at, request, minted, at.renderer.page("onward", next=begun.next))


async def _proven(at: Site, request: Request, begun: Way, answer: Mapping[str, str]) -> Response:
    by = await visited(at, at.visits.named(begun.visit), source(request))
    credentials = at.services.credentials
    challenge = credentials.challenge(by.identity, begun.challenge)
    how = await at.services.federation.confirm(begun.flow, answer, by.identity, peer=source(request))
    offered = {"method": "login", "ticket": credentials.ticket(by.identity, challenge.action, how)}
    await credentials.fulfil(by.identity, begun.challenge, offered, peer=source(request))
    gone_on = await prove.proven(at, by, begun.challenge)
    if isinstance(gone_on, RedirectResponse):
        return at.renderer.page("onward", next=way(gone_on.headers["location"]))
    return gone_on


def _bound(at: Site, answer: Response, begun: Way) -> Response:
    at.cookies.put(answer, FLOW, at.flows.put(begun), life=FLOW_LIFE, same_site="lax")
    return answer


def _single(request: Request) -> dict[str, str]:
    """The query, in which nothing may stand twice: two readers could take different ones."""
    pairs = request.query_params.multi_items()
    if len(pairs) > FIELDS or len({key for key, _ in pairs}) != len(pairs):
        raise AgentError("the provider's answer has something twice", hint="Begin again.", code="login.answer")
    return dict(pairs)
