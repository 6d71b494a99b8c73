"""/me: who one is here, what one can prove it with, and where one is logged in.

A login alone changes no credential: each change leads through /prove, with a credential that one has already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import JSONResponse, RedirectResponse, Response

from tidegate.enforcement.access import BROWSER, LOGIN, Caller

from . import proofs, qr
from .site import At, By, Posted

router = APIRouter(prefix="/me")

LABEL = 64


@router.get("")
async def show(at: At, by: By) -> Response:
    """The whole page."""
    now = at.services.clock.now()
    rows = await asyncio.to_thread(at.services.store.tokens, by.identity.person.subject)
    logins = [row for row in rows if row.audience in (LOGIN, BROWSER) and not row.revoked and row.expires > now]
    held = await at.services.enrolment.listing(by.identity)
    return at.page("me", by, logins=logins, this=by.caller.claims.id, browser=BROWSER, credentials=held)


@router.post("/logins/end")
async def end(at: At, by: By, form: Posted) -> Response:
    """End one of one's logins, at once and everywhere."""
    await at.services.access.revoke(by.identity, form.get("id", "")[:LABEL])
    return RedirectResponse("/me", 303)


@router.post("/passkeys/passkey")
async def begin_passkey(at: At, by: By, _form: Posted) -> Response:
    """What the browser needs to make a passkey."""
    begun = await at.services.enrolment.begin_passkey(by.identity)
    return JSONResponse({"challenge": begun.id, "options": begun.options})


@router.post("/passkeys")
async def add_passkey(at: At, by: By, form: Posted) -> Response:
    """Enrol the passkey that the browser made."""
    id, credential, label = form.get("challenge", ""), form.get("credential", ""), form.get("label", "")[:LABEL]

    async def add(caller: Caller, proof: Mapping[str, str]) -> object:
        return await at.services.enrolment.finish_passkey(
            caller.identity, id, credential, label, proof or None, peer=caller.peer
        )

    return await proofs.done(at, by, add, "/me")


@router.post("/codes/new")
async def begin_codes(at: At, by: By, _form: Posted) -> Response:
    """A secret for an authenticator application, as a picture and in letters. It is in no address and no cache."""
    begun = at.services.enrolment.begin_totp(by.identity)
    return at.page("codes", by, id=begun.id, secret=begun.secret, picture=qr.svg(begun.url))


@router.post("/codes")
async def add_codes(at: At, by: By, form: Posted) -> Response:
    """Enrol it, with a one-time password that shows that it works."""
    id, otp, label = form.get("id", ""), form.get("otp", "").replace(" ", ""), form.get("label", "")[:LABEL]

    async def add(caller: Caller, proof: Mapping[str, str]) -> object:
        return await at.services.enrolment.finish_totp(caller.identity, id, otp, label, proof or None, peer=caller.peer)

    return await proofs.done(at, by, add, "/me")


@router.post("/keys")
async def add_key(at: At, by: By, form: Posted) -> Response:
    """Enrol a public key for signing answers in the terminal."""
    line, label = form.get("key", "")[: 16 * 1024].strip(), form.get("label", "")[:LABEL]

    async def add(caller: Caller, proof: Mapping[str, str]) -> object:
        return await at.services.enrolment.add_ssh(caller.identity, line, label, proof or None, peer=caller.peer)

    return await proofs.done(at, by, add, "/me")


@router.post("/credentials/remove")
async def remove(at: At, by: By, form: Posted) -> Response:
    """End one of one's credentials."""
    id = form.get("id", "")[:LABEL]

    async def take(caller: Caller, proof: Mapping[str, str]) -> None:
        await at.services.enrolment.remove(caller.identity, id, proof or None, peer=caller.peer)

    return await proofs.done(at, by, take, "/me")
