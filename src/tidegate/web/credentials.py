"""/api/v1/me/credentials: what one proves oneself with. Nobody sees or changes another's.

Adding and removing need a proof, as ``web.stepup`` says: a login alone, which other programs of the same account could
use, changes nothing here.
"""

from __future__ import annotations

from fastapi import APIRouter

from tidegate.store.rows import CredentialRow

from .services import By, Services
from .shapes import (
    ChallengeView,
    CredentialsView,
    CredentialView,
    NewKey,
    NewPasskey,
    NewPassword,
    NewTotp,
    PendingPasskey,
    PendingTotp,
    Proven,
)
from .shown import safe

router = APIRouter(prefix="/me", tags=["credentials"])


@router.get("/credentials")
async def listing(at: Services, by: By) -> CredentialsView:
    """List one's credentials, oldest first, and say how one can prove oneself."""
    rows = await at.enrolment.listing(by.identity)
    ways = await at.credentials.methods(by.identity.person.subject)
    return CredentialsView(items=[_view(row) for row in rows], page=f"{at.settings.public}/me", **ways)


@router.get("/challenges/{id}")
async def challenge(at: Services, by: By, id: str) -> ChallengeView:
    """What a 401 `stepup.required` asks to prove: the action in words, and what a key or passkey signs."""
    found = at.credentials.challenge(by.identity, id)
    options = await at.credentials.passkey_options(found)
    done = found.proof is not None
    return ChallengeView(id=id, action=found.words, sign=found.message.decode(), options=options, done=done)


@router.post("/password", status_code=204)
async def password(at: Services, by: By, body: NewPassword) -> None:
    """Change one's password."""
    await at.enrolment.change_password(by.identity, body.password.get_secret_value(), body.proof, peer=by.peer)


@router.post("/credentials/totp", status_code=201)
async def begin_totp(at: Services, by: By) -> PendingTotp:
    """Begin to add one-time passwords: a secret for an authenticator application, for five minutes."""
    begun = at.enrolment.begin_totp(by.identity)
    return PendingTotp(id=begun.id, secret=begun.secret, url=begun.url)


@router.post("/credentials/totp/{id}", status_code=201)
async def finish_totp(at: Services, by: By, id: str, body: NewTotp) -> CredentialView:
    """Add one-time passwords, in place of earlier ones; a password needs them from now on."""
    otp = body.otp.get_secret_value()
    return _view(await at.enrolment.finish_totp(by.identity, id, otp, body.label, body.proof, peer=by.peer))


@router.post("/credentials/passkey", status_code=201)
async def begin_passkey(at: Services, by: By) -> PendingPasskey:
    """Begin to add a passkey: what a browser needs to make one, for five minutes."""
    begun = await at.enrolment.begin_passkey(by.identity)
    return PendingPasskey(id=begun.id, options=begun.options)


@router.post("/credentials/passkey/{id}", status_code=201)
async def finish_passkey(at: Services, by: By, id: str, body: NewPasskey) -> CredentialView:
    """Add the passkey that a browser made."""
    made = await at.enrolment.finish_passkey(by.identity, id, body.credential, body.label, body.proof, peer=by.peer)
    return _view(made)


@router.post("/credentials/ssh", status_code=201)
async def add_ssh(at: Services, by: By, body: NewKey) -> CredentialView:
    """Add an ssh key by its public half."""
    return _view(await at.enrolment.add_ssh(by.identity, body.key, body.label, body.proof, peer=by.peer))


@router.delete("/credentials/{id}", status_code=204)
async def remove(at: Services, by: By, id: str, body: Proven | None = None) -> None:
    """Remove one of one's credentials, but not the last."""
    await at.enrolment.remove(by.identity, id, body.proof if body is not None else {}, peer=by.peer)


def _view(row: CredentialRow) -> CredentialView:
    return CredentialView(id=row.id, method=row.method, label=safe(row.label), leaf=row.leaf)
