"""/api/v1: how people get in, and which people and agents there are."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from tidegate.enforcement.access import Minted
from tidegate.model.identity import Hop, Kind

from .services import By, Services
from .shapes import Bootstrap, Code, Enrolment, Login, Me, Member, NewAgent, NewPerson, Page

router = APIRouter(tags=["identities"])


@router.post("/bootstrap", status_code=201)
async def bootstrap(at: Services, request: Request, body: Bootstrap) -> Login:
    """The first administrator logs in with the one-time code that the gateway printed at its start."""
    return _login(await at.access.bootstrap(body.code.get_secret_value(), body.name, _peer(request)))


@router.post("/enrol", status_code=201)
async def enrol(at: Services, request: Request, body: Enrolment) -> Login:
    """Exchange a one-time code for a login token."""
    return _login(await at.access.enrol(body.code.get_secret_value(), _peer(request)))


@router.post("/logout", status_code=204)
async def logout(at: Services, by: By) -> None:
    """End the login that this request carries."""
    await at.access.revoke(by.identity, by.claims.id)


@router.get("/me")
async def me(at: Services, by: By) -> Me:
    """Who the caller is to the gateway."""
    person = by.identity.person
    groups = list(person.groups)
    return Me(name=person.name, subject=person.subject, groups=groups, expires=by.claims.expires, now=at.clock.now())


@router.get("/people")
async def people(at: Services, by: By) -> Page[Member]:
    """List people: oneself, or everybody for who observes the gateway."""
    rows = await asyncio.to_thread(at.store.identities)
    everybody = at.may(by.identity, "observe")
    own = by.identity.person.subject
    shown = [row for row in rows if row.kind is Kind.USER and (everybody or row.subject == own)]
    return Page(items=[_member(row.hop, disabled=row.disabled) for row in shown])


@router.post("/people", status_code=201)
async def add_person(at: Services, by: By, body: NewPerson) -> Code:
    """Add a person; the one-time code is shown once."""
    who, code = await at.access.add_person(by.identity, body.name, body.groups)
    return Code(name=who.name, subject=who.subject, code=code)


@router.post("/people/{name}/code", status_code=201)
async def fresh_code(at: Services, by: By, name: str) -> Code:
    """Another one-time code, for somebody whose login has ended."""
    who, code = await at.access.fresh_code(by.identity, name)
    return Code(name=who.name, subject=who.subject, code=code)


@router.post("/people/{name}/disable")
async def disable_person(at: Services, by: By, name: str) -> Member:
    """Disable a person, and with them their agents' chains: logins and open sessions end at once."""
    return _member(await at.access.disable(by.identity, name, Kind.USER), disabled=True)


@router.get("/agents")
async def agents(at: Services, by: By) -> Page[Member]:
    """List agents: one's own, or all of them for who observes the gateway."""
    rows = await asyncio.to_thread(at.store.identities)
    names = {row.subject: row.name for row in rows}
    everybody = at.may(by.identity, "observe")
    own = by.identity.person.subject
    shown = [row for row in rows if row.kind is not Kind.USER and (everybody or row.owner == own)]
    return Page(items=[_member(row.hop, names.get(row.owner, ""), disabled=row.disabled) for row in shown])


@router.post("/agents", status_code=201)
async def add_agent(at: Services, by: By, body: NewAgent) -> Member:
    """Add an agent: one's own; for somebody else, or with groups, it needs the ability to operate the gateway."""
    owner = body.owner or by.identity.person.name
    return _member(await at.access.add_agent(by.identity, body.name, owner, body.groups), owner)


@router.post("/agents/{name}/disable")
async def disable_agent(at: Services, by: By, name: str) -> Member:
    """Disable an agent, one's own or any with the ability to operate: its open sessions end at once."""
    return _member(await at.access.disable(by.identity, name, Kind.AGENT), disabled=True)


def _member(hop: Hop, owner: str = "", *, disabled: bool = False) -> Member:
    return Member(
        name=hop.name,
        subject=hop.subject,
        kind=hop.kind.value,
        groups=list(hop.groups),
        owner=owner,
        state="disabled" if disabled else "active",
    )


def _login(minted: Minted) -> Login:
    person = minted.identity.person
    return Login(token=minted.token, name=person.name, subject=person.subject, expires=minted.claims.expires)


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
