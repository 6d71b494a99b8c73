"""/api/v1: how people get in, and which people and agents there are."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from tidegate.enforcement.access import Minted
from tidegate.errors import Refused
from tidegate.identity.bindings import read
from tidegate.model.identity import Hop, Kind
from tidegate.model.proof import action
from tidegate.store.rows import LinkRow

from .services import By, Services, source
from .shapes import (
    AgentShown,
    BindingShown,
    Bootstrap,
    Code,
    Enrolment,
    Login,
    Me,
    Member,
    Named,
    NewAgent,
    NewBinding,
    NewPerson,
    Page,
    Proven,
)
from .stepup import proven

router = APIRouter(tags=["identities"])


@router.post("/bootstrap", status_code=201)
async def bootstrap(at: Services, request: Request, body: Bootstrap) -> Login:
    """The first administrator logs in with the one-time code that the gateway printed, and chooses a password."""
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    return _login(await at.access.bootstrap(code, body.name, password, source(request)))


@router.post("/enrol", status_code=201)
async def enrol(at: Services, request: Request, body: Enrolment) -> Login:
    """Exchange a one-time code for a login token; the password takes the place of all earlier credentials."""
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    return _login(await at.access.enrol(code, password, source(request)))


@router.post("/login", status_code=201)
async def login(at: Services, request: Request, body: Named) -> Login:
    """Log in with name and password, and a one-time password once one is enrolled. Needs no login."""
    secrets = body.password.get_secret_value(), body.otp.get_secret_value()
    who, proof = await at.credentials.identify(body.name, *secrets, source(request))
    return _login(await at.access.login(who, method=proof.method, peer=source(request)))


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
    """Add a person; the one-time code is shown once. Needs the ability to operate, and a proof, as `code` does."""
    at.access.operates(by.identity, "add people")
    await proven(at, by, action("admit", body.name, *body.groups), body.proof)
    who, code = await at.access.add_person(by.identity, body.name, body.groups)
    return Code(name=who.name, subject=who.subject, code=code)


@router.post("/people/{name}/code", status_code=201)
async def fresh_code(at: Services, by: By, name: str, body: Proven | None = None) -> Code:
    """Another one-time code, for somebody whose login has ended. Needs the ability to operate, and a proof.

    Who has the code becomes that person: a login alone, which an administrator's own agents could use, gives none.
    """
    at.access.operates(by.identity, "give out codes")
    who = (await at.access.chain(name)).person
    await proven(at, by, action("admit", who.name), body.proof if body is not None else {})
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
    """Add an agent or service: one's own.

    For somebody else, with groups, or bound to a workload's tokens, it needs the ability to operate the gateway.
    """
    owner = body.owner or by.identity.person.name
    if body.issuer:
        at.links.check(by.identity, body.issuer, body.conditions)
        await proven(at, by, action("bind", body.name, body.issuer), body.proof)
    who = await at.access.add_agent(by.identity, body.name, owner, body.groups, Kind(body.kind))
    if body.issuer:
        await at.links.bind(by.identity, who.name, body.issuer, body.conditions)
    return _member(who, owner)


@router.get("/agents/{name}")
async def agent(at: Services, by: By, name: str) -> AgentShown:
    """Show an agent or service with its owner and bindings: one's own, or any for who observes the gateway."""
    found = await asyncio.to_thread(at.store.identity_named, name)
    own = found is not None and found.owner == by.identity.person.subject
    if found is None or found.kind is Kind.USER or not (own or at.may(by.identity, "observe")):
        raise Refused("there is no such agent", hint="See: tidegate agents ls", code="identity.unknown")
    owner = await asyncio.to_thread(at.store.identity, found.owner) if found.owner else None
    shown = _member(found.hop, owner.name if owner else "", disabled=found.disabled)
    return AgentShown(**shown.model_dump(), bindings=[_binding(row) for row in await at.links.of(found.hop.subject)])


@router.post("/agents/{name}/bindings", status_code=201)
async def bind(at: Services, by: By, name: str, body: NewBinding) -> BindingShown:
    """Bind an agent or service to a workload's tokens; it needs the ability to operate, and a proof.

    Whoever has such a token acts as that agent, so a cached login does not do.
    """
    at.links.check(by.identity, body.issuer, body.conditions)
    who = await asyncio.to_thread(at.directory.named, name)
    await proven(at, by, action("bind", who.hop.name, body.issuer), body.proof)
    return _binding(await at.links.bind(by.identity, name, body.issuer, body.conditions))


@router.delete("/bindings/{id}")
async def unbind(at: Services, by: By, id: str) -> BindingShown:
    """End a binding and the sessions that came by it: of one's own agents, or any with the ability to operate."""
    return _binding(await at.links.unbind(by.identity, id))


@router.post("/agents/{name}/disable")
async def disable_agent(at: Services, by: By, name: str) -> Member:
    """Disable an agent, one's own or any with the ability to operate: its open sessions end at once."""
    return _member(await at.access.disable(by.identity, name, Kind.AGENT, Kind.SERVICE), disabled=True)


def _member(hop: Hop, owner: str = "", *, disabled: bool = False) -> Member:
    return Member(
        name=hop.name,
        subject=hop.subject,
        kind=hop.kind.value,
        groups=list(hop.groups),
        owner=owner,
        state="disabled" if disabled else "active",
    )


def _binding(row: LinkRow) -> BindingShown:
    issuer = row.provider.partition(":")[2]
    return BindingShown(id=row.id, issuer=issuer, conditions=read(row.conditions), leaf=row.leaf)


def _login(minted: Minted) -> Login:
    person = minted.identity.person
    return Login(token=minted.token, name=person.name, subject=person.subject, expires=minted.claims.expires)
