"""Identity providers: who is linked to whom, under /api/v1; and what providers themselves call.

A provider's logout token comes to ``/login/NAME/backchannel`` (OpenID Connect Back-Channel Logout 1.0 section 2.5), and
a SAML provider reads our metadata at ``/login/NAME/metadata``. Neither needs a login: the token proves itself, the
metadata is public. The pages beside these send browsers there and back.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response

from tidegate.enforcement.accounts import EMAIL, kind_of
from tidegate.errors import AgentError, ConfigError, Refused, ResourceError
from tidegate.model.proof import action
from tidegate.settings_notify import SlackChannel
from tidegate.store.rows import LinkRow

from .problem import problem
from .services import ApiServices, By, Services, source
from .shapes import LinkView, Member, NewLink, Page
from .shown import safe
from .stepup import proven

router = APIRouter(tags=["identities"])
providers = APIRouter(include_in_schema=False)

_METADATA = "application/samlmetadata+xml"


@router.get("/people/{name}/links")
async def links(at: Services, by: By, name: str) -> Page[LinkView]:
    """How a person is known at identity providers. One's own, or anybody's for who observes the gateway."""
    if name != by.identity.person.name:
        at.demand(by.identity, "observe", "see whom others are linked to")
    return Page(items=[_view(row) for row in await at.federation.accounts.of(name)])


@router.post("/people/{name}/links", status_code=201)
async def link(at: Services, by: By, name: str, body: NewLink) -> LinkView | Member:
    """Say who somebody is at a provider, or that two accounts are one person's.

    Needs the ability to operate, and a proof: who logs in there, or presses a button there, becomes that person.
    """
    at.access.operates(by.identity, "say who somebody is")
    accounts, who = at.federation.accounts, (await asyncio.to_thread(at.directory.named, name)).hop
    if body.same_as:
        await proven(at, by, action("link", who.name, body.same_as), body.proof)
        hop = await accounts.same(by.identity, name, body.same_as)
        return Member(name=hop.name, subject=hop.subject, kind=hop.kind.value, groups=list(hop.groups), state="active")
    if not _there(at, body):
        raise Refused(
            "There is no such provider, or it does not know people so.",
            hint="Names are under `login` in tidegate.yaml, and slack:CHANNEL under `notify`, for a --subject.",
            code="link.provider",
        )
    await proven(at, by, action("link", who.name, body.provider, body.subject or body.email), body.proof)
    return _view(await accounts.link(by.identity, name, body.provider, subject=body.subject, email=body.email))


@router.delete("/people/{name}/links/{id}")
async def unlink(at: Services, by: By, name: str, id: str) -> LinkView:
    """End a link; the groups that the provider gave end with it. Needs the ability to operate."""
    return _view(await at.federation.accounts.unlink(by.identity, name, id))


@providers.post("/login/{name}/backchannel")
async def logout(at: Services, request: Request, name: str) -> Response:
    """A provider says that somebody's login there is over."""
    form = parse_qs((await request.body()).decode("latin-1"), max_num_fields=10)
    tokens = form.get("logout_token", [])
    try:
        if len(tokens) != 1:
            raise AgentError("one logout_token is needed", hint="Send it as a form.", code="token.malformed")
        await at.federation.logout(name, tokens[0], source(request))
    except (AgentError, Refused, ResourceError, ConfigError) as error:
        # Section 2.8: any failure is a 400 with a code of RFC 6749; which one, is for the provider's operators.
        return problem(400, error.code, error.message, hint=error.hint, error="invalid_request")
    return Response(status_code=200)


@providers.get("/login/{name}/metadata")
async def metadata(at: Services, name: str) -> Response:
    """What a SAML provider must know of this gateway."""
    return Response(at.federation.description(name), media_type=_METADATA)


def _there(at: ApiServices, asked: NewLink) -> bool:
    """Whether there is such a provider, or a chat that takes answers and knows people by a subject."""
    kind, _, name = asked.provider.rpartition(":")
    if kind:
        channel = at.settings.notify.channels.get(name)
        return isinstance(channel, SlackChannel) and channel.direct and bool(asked.subject)
    return name in at.settings.login.providers


def _view(row: LinkRow) -> LinkView:
    by_email = kind_of(row) == EMAIL
    return LinkView(
        id=row.id,
        provider=row.provider,
        subject="" if by_email else safe(row.external),
        email=safe(row.external) if by_email else "",
        leaf=row.leaf,
    )
