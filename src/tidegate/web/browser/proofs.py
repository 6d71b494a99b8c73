"""Proofs in the browser: which fields of a form are one, what a passkey has to sign, and what waits until there is one.

The fields are those of the API. Which methods somebody has is told to nobody but themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, RedirectResponse, Response

from tidegate.enforcement.credentials import known_passkeys
from tidegate.errors import AgentError

from .pending import Deed
from .site import Site, Visitor

FIELDS = {"method": 16, "password": 1024, "otp": 32, "challenge": 64, "credential": 32 * 1024}
"""Fields of a proof -> most characters."""


def offered(form: Mapping[str, str]) -> dict[str, str]:
    """The proof in a form; empty when it has none. What is too long is not a proof."""
    found = {name: form[name] for name, most in FIELDS.items() if 0 < len(form.get(name, "")) <= most}
    if "otp" in found:
        found["otp"] = found["otp"].replace(" ", "")
    return found if "method" in found else {}


async def methods(at: Site, by: Visitor) -> dict[str, Any]:
    """How the visitor can prove that it is them: ``methods``, and whether ``otp`` belongs to the password."""
    return await at.services.credentials.methods(by.identity.person.subject)


async def begun(at: Site, by: Visitor, action: bytes) -> str:
    """The id of a fresh challenge for ``action``."""
    try:
        await at.services.credentials.prove(by.identity, action, None)
    except AgentError as error:
        return challenge_of(error)
    raise AssertionError("nothing was proven and nothing asked")


async def passkey(at: Site, by: Visitor, id: str) -> Response:
    """A challenge as the browser's interface for passkeys takes it."""
    credentials = at.services.credentials
    challenge = credentials.challenge(by.identity, id)
    known = [key for _, key in known_passkeys(await credentials.enrolled.of(by.identity.person.subject))]
    return JSONResponse({"challenge": id, "options": credentials.passkeys.options(challenge.bytes, known)})


async def done(at: Site, by: Visitor, deed: Deed, next: str) -> Response:
    """Do what was asked for, or let the visitor prove that it is them first."""
    try:
        await deed(by.caller, {})
    except AgentError as error:
        id = challenge_of(error)
        at.pending.put(id, by.visit.key, deed, next)
        return RedirectResponse(f"/prove/{id}", 303)
    return RedirectResponse(next, 303)


def challenge_of(error: AgentError) -> str:
    """The challenge in an error that asks for a proof; raises any other."""
    if error.code != "stepup.required":
        raise error
    return str(error.details["challenge"])
