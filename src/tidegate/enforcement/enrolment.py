"""A person's credentials come and go: each change needs a proof with one they have, or the code that lets them start.

Whoever runs under the same account as a person may have their login, so a login alone adds and removes nothing. A
one-time code of an administrator starts over: what the person had before ends. The last credential of somebody who has
no provider stays.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.identity import codes, passkeys, sshsig, totp
from tidegate.identity.directory import invalid
from tidegate.identity.passwords import demand
from tidegate.model.identity import Hop, Identity
from tidegate.model.proof import Proof, action
from tidegate.store.rows import CredentialRow

from .credentials import Credentials, Offered, known_passkeys
from .enrolled import PASSKEY, PASSWORD, SSH, TOTP
from .passing import Passing

MOST = 20
"""Credentials of one person."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A credential that is half made: what its owner needs to finish it."""

    id: str
    secret: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    options: dict[str, Any] = field(default_factory=dict)


class Enrolment:
    """Event loop only. ``peer`` is where a request comes from; ``offered`` is a proof, as for ``Credentials.prove``.

    Methods raise AgentError ``stepup.*`` as ``Credentials.prove`` does.
    """

    def __init__(self, credentials: Credentials, clock: Clock, organisation: str) -> None:
        self._credentials = credentials
        self._enrolled = credentials.enrolled
        self._clock = clock
        self._organisation = organisation
        self._secrets: Passing[str] = Passing(clock)
        self._makings: Passing[bytes] = Passing(clock)

    def unused(self, code: str) -> None:
        """Raises AgentError ``code.invalid`` for a one-time code that somebody has started over with."""
        if self._enrolled.used(codes.mark(code)):
            raise invalid()

    async def start_over(self, who: Hop, password: str, code: str = "") -> Proof:
        """The first password of somebody who came with a one-time ``code``, in place of all that they had."""
        before = self._enrolled.ids(who.subject)
        row = await self._new_password(who, password, how="code", code=codes.mark(code) if code else "")
        await self._enrolled.revoke(who.subject, before, by=who.subject)
        return Proof(PASSWORD, row.id)

    async def change_password(self, who: Identity, password: str, offered: Offered | None, *, peer: str = "") -> None:
        """Another password. Raises AgentError ``password.weak``."""
        demand(password, who.person.name)
        proof = await self._credentials.prove(who, action("password"), offered, peer=peer)
        before = await self._of(who, PASSWORD)
        await self._new_password(who.person, password, how=proof.method)
        await self._enrolled.revoke(who.person.subject, [row.id for row in before], by=who.person.subject)

    async def _new_password(self, who: Hop, password: str, *, how: str, code: str = "") -> CredentialRow:
        demand(password, who.name)
        kept = await self._credentials.passwords.hash(password)
        return await self._enrolled.enrol(
            who.subject, PASSWORD, label="", secret=kept.encode(), by=who.subject, how=how, code=code
        )

    # one-time passwords

    def begin_totp(self, who: Identity) -> Begun:
        """A secret for an authenticator application; nothing is enrolled yet."""
        secret = totp.fresh()
        id = self._secrets.put(who.person.subject, secret)
        return Begun(id, secret, totp.url(secret, who.person.name, self._organisation))

    async def finish_totp(
        self, who: Identity, id: str, otp: str, label: str, offered: Offered | None, *, peer: str = ""
    ) -> CredentialRow:
        """Enrol the secret, shown to work by a one-time password, in place of an earlier one."""
        subject = who.person.subject
        secret = self._secrets.find(subject, id)
        step = totp.step(secret, otp, now=self._clock.now(), after=0) if secret else None
        if secret is None or step is None:
            await self._credentials.throttle.rebuke(peer)
            raise AgentError(
                "the one-time password is wrong, or this took too long",
                hint="Check the clock of the device, or begin again.",
                code="credential.wrong",
            )
        proof = await self._credentials.prove(who, action("enrol", TOTP, id), offered, words=_adding(TOTP), peer=peer)
        self._still_there(self._secrets.take(subject, id))
        before = await self._of(who, TOTP)
        row = await self._enrolled.enrol(
            subject, TOTP, label=label, secret=secret.encode(), counter=step, by=subject, how=proof.method
        )
        await self._enrolled.revoke(subject, [each.id for each in before], by=subject)
        return row

    # passkeys

    async def begin_passkey(self, who: Identity) -> Begun:
        """What a browser needs to make a passkey: ``options`` for ``navigator.credentials.create``."""
        challenge = secrets.token_bytes(32)
        id = self._makings.put(who.person.subject, challenge)
        known = [key for _, key in known_passkeys(await self._enrolled.of(who.person.subject))]
        options = self._credentials.passkeys.registration(who.person.subject, who.person.name, challenge, known)
        return Begun(id, options=options)

    async def finish_passkey(
        self, who: Identity, id: str, credential: str, label: str, offered: Offered | None, *, peer: str = ""
    ) -> CredentialRow:
        """Enrol the passkey that a browser made; ``credential`` is the JSON of its answer."""
        subject = who.person.subject
        challenge = self._makings.find(subject, id)
        made = None
        if challenge is not None:
            made = await asyncio.to_thread(self._credentials.passkeys.registered, credential, challenge)
        if made is None:
            raise AgentError(
                "the browser's answer does not hold, or came too late",
                hint="Begin again.",
                code="credential.wrong",
            )
        proof = await self._credentials.prove(
            who, action("enrol", PASSKEY, id), offered, words=_adding(PASSKEY), peer=peer
        )
        self._still_there(self._makings.take(subject, id))
        public = passkeys.stored(made)
        return await self._add(who, PASSKEY, label, public, made.key, proof, counter=made.counter)

    # ssh keys

    async def add_ssh(
        self, who: Identity, line: str, label: str, offered: Offered | None, *, peer: str = ""
    ) -> CredentialRow:
        """Enrol the public key of a ``.pub`` file's line. Raises AgentError ``request.key``."""
        key = sshsig.public_key(line)
        asked = action("enrol", SSH, key.fingerprint)
        words = f"{_adding(SSH)} {key.fingerprint}"
        proof = await self._credentials.prove(who, asked, offered, words=words, peer=peer)
        return await self._add(who, SSH, label or key.comment[:64], key.blob, key.blob, proof)

    async def remove(self, who: Identity, id: str, offered: Offered | None, *, peer: str = "") -> None:
        """End a credential of one's own. Raises Refused ``credential.unknown``, ``credential.last``."""
        subject = who.person.subject
        rows = await self._enrolled.of(subject)
        if all(row.id != id for row in rows):
            raise Refused("you have no such credential", hint="See: tidegate credentials ls", code="credential.unknown")
        proven = await self._credentials.prove(who, action("revoke", id), offered, peer=peer)
        rest = {row.method for row in await self._enrolled.of(subject) if row.id != id}
        if not rest - {TOTP} and proven.method != "login":
            raise Refused("this is all you can prove yourself with", hint="Add another first.", code="credential.last")
        await self._enrolled.revoke(subject, [id], by=subject)

    async def listing(self, who: Identity) -> list[CredentialRow]:
        """A person's credentials, oldest first."""
        return await self._enrolled.of(who.person.subject)

    async def _of(self, who: Identity, method: str) -> list[CredentialRow]:
        return [row for row in await self._enrolled.of(who.person.subject) if row.method == method]

    async def _add(
        self, who: Identity, method: str, label: str, public: bytes, shown: bytes, proof: Proof, *, counter: int = 0
    ) -> CredentialRow:
        rows = await self._enrolled.of(who.person.subject)
        if len(rows) >= MOST:
            raise Refused(f"nobody has more than {MOST} credentials", hint="Remove one.", code="credential.many")
        if any(row.public == public for row in rows):
            raise Refused("you have this credential already", code="credential.taken")
        subject = who.person.subject
        if any(holder != subject for holder in await self._enrolled.holders(public)):
            # One key in two hands would be two different people to a rule that asks for two.
            raise Refused("this key is another account's", hint="Make a key of your own.", code="credential.taken")
        return await self._enrolled.enrol(
            subject, method, label=label, public=public, shown=shown, counter=counter, by=subject, how=proof.method
        )

    def _still_there(self, taken: object) -> None:
        """Of two that finish at once, one enrols."""
        if taken is None:
            raise AgentError("this was finished already", hint="Begin again.", code="credential.wrong")


def _adding(method: str) -> str:
    return {TOTP: "add one-time passwords", PASSKEY: "add a passkey", SSH: "add the ssh key"}[method]
