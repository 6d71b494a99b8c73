"""Proofs: how a person logs in here, and how they prove once more, for one action, that it is really them.

A proof is a password (with a one-time password once they have enrolled one: then neither is enough alone), a passkey,
an ssh key, or a ticket for a fresh login at their provider. Every proof and every failure is a leaf. What can be
guessed is slowed; a name that nobody has takes as long as one that somebody has; no error says which part was wrong.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.audit.log import Log
from tidegate.audit.verify import proof_holds
from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.identity import passkeys, proofs, sshsig, totp
from tidegate.identity.directory import Directory
from tidegate.identity.passkeys import Passkeys
from tidegate.identity.passwords import Passwords
from tidegate.identity.throttle import Throttle
from tidegate.model.event import Json
from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.proof import Proof
from tidegate.store.rows import CredentialRow

from .challenges import Challenge, Challenges
from .enrolled import PASSKEY, PASSWORD, SSH, TOTP, Enrolled
from .passing import Passing

LOGIN, BROWSER = "login", "browser"
"""Methods without a credential: a fresh login at the provider, and a proof that a browser has left."""

Offered = Mapping[str, str]
"""What somebody offers as a proof: ``method`` and what belongs to it.

``password``, ``otp``; ``challenge`` with ``credential`` (JSON of the browser's answer) for a passkey, with
``signature`` (armoured) for an ssh key, alone for ``browser``; ``ticket`` for ``login``.
"""


class Credentials:
    """``linked`` says whether somebody can log in at a provider; ``address`` is that of the pages. Event loop only."""

    def __init__(
        self,
        log: Log,
        clock: Clock,
        *,
        enrolled: Enrolled,
        directory: Directory,
        throttle: Throttle,
        passwords: Passwords,
        failures: Callable[[str, str], None],
        address: str,
        organisation: str,
        linked: Callable[[str], bool],
    ) -> None:
        self._log = log
        self._clock = clock
        self.enrolled = enrolled
        self.throttle = throttle
        self.passwords = passwords
        self.passkeys = Passkeys(address, organisation)
        self._directory = directory
        self._failures = failures
        self._address = address
        self._linked = linked
        self._challenges = Challenges(clock)
        self._tickets: Passing[tuple[bytes, str]] = Passing(clock)

    # logging in

    async def identify(self, name: str, password: str, otp: str = "", peer: str = "") -> tuple[Identity, Proof]:
        """Who logs in with a password. Raises AgentError ``auth.wrong``, ``auth.slowed``, ``auth.busy``."""
        async with self.throttle.attempt(name, peer):
            who = await asyncio.to_thread(self._person, name)
            rows = await self.enrolled.of(who.subject if who else "")
            proof = await self._by_password(rows, password, otp, name, peer)
            if who is None or proof is None:
                self._failures("auth.wrong", peer)
                raise AgentError(
                    "the name, the password or the one-time password is wrong",
                    hint="Forgotten? An administrator gives out a code: tidegate people code NAME",
                    code="auth.wrong",
                )
        return Identity((who,)), proof

    def _person(self, name: str) -> Hop | None:
        try:
            return self._directory.resolve((self._directory.named(name).hop.subject,)).person
        except AgentError:
            return None

    # proving

    async def prove(
        self, person: Identity, action: bytes, offered: Offered | None, *, words: str = "", peer: str = ""
    ) -> Proof:
        """The proof of ``person`` for exactly this action (``model.proof.action``), which ``words`` say to people.

        Raises AgentError ``stepup.required`` when nothing is offered, ``stepup.wrong``, ``stepup.waiting`` while a
        browser has not left its proof, ``auth.slowed``; the first two have a new challenge in their details.
        """
        if len(person.chain) != 1 or person.person.kind is not Kind.USER:
            raise Refused("only a person proves that they are there", hint="Ask the person.", code="stepup.agent")
        subject, given = person.person.subject, offered or {}
        rows = await self.enrolled.of(subject)
        method = given.get("method", "")
        if not method:
            raise await self._asked(rows, subject, action, words)
        if method == BROWSER:
            proof = self._left(subject, action, given.get("challenge", ""))
        elif method == PASSWORD:
            proof = await self._guessed(person.person, rows, given, peer)
        else:
            proof = await self._signed(subject, action, rows, given)
        if proof is not None and proof.signature and not await self._convinces(rows, action, proof):
            proof = None
        if proof is not None and proof.method != LOGIN and proof.key not in self.enrolled.ids(subject):
            proof = None  # ended while it was being used, or while it waited in a browser
        if proof is None:
            self._failures("stepup.wrong", peer)
            if method != PASSWORD:
                await self.throttle.rebuke(peer)
            raise await self._asked(rows, subject, action, words, wrong=True)
        if method != BROWSER:
            self._note(subject, action, proof, peer)
        return proof

    async def _guessed(self, who: Hop, rows: Sequence[CredentialRow], given: Offered, peer: str) -> Proof | None:
        try:
            async with self.throttle.attempt(who.name, peer):
                proof = await self._by_password(rows, given.get("password", ""), given.get("otp", ""), who.name, peer)
                if proof is None:
                    raise _Wrong
        except _Wrong:
            return None
        return proof

    async def _by_password(
        self, rows: Sequence[CredentialRow], password: str, otp: str, name: str, peer: str
    ) -> Proof | None:
        """A proof by password, and by one-time password where one is enrolled; the work is the same for everybody."""
        own = {row.method: row for row in rows}
        row, device = own.get(PASSWORD), own.get(TOTP)
        kept = self.enrolled.secret(row).decode() if row else ""
        right = await self.passwords.matches(kept, password)
        secret = self.enrolled.secret(device).decode() if device else totp.fresh()
        step = totp.step(secret, otp, now=self._clock.now(), after=device.counter if device else 0)
        if row is None or not right:
            return None
        if device is not None and not await self._second(device, step, name, peer):
            return None
        if self.passwords.stale(kept):
            await self.enrolled.resealed(row, (await self.passwords.again(password)).encode())
        return Proof(TOTP, device.id) if device else Proof(PASSWORD, row.id)

    async def _second(self, device: CredentialRow, step: int | None, name: str, peer: str) -> bool:
        """Whether the one-time password beside a right password holds; who guesses those has few tries."""
        if not self.throttle.may_guess(name, peer):
            return False
        if step is not None and await self.enrolled.moved(device, step):
            return True
        self.throttle.missed(name, peer)
        return False

    async def _signed(self, subject: str, action: bytes, rows: Sequence[CredentialRow], given: Offered) -> Proof | None:
        method = given.get("method", "")
        if method == LOGIN:
            ticket = self._tickets.take(subject, given.get("ticket", ""))
            return Proof(LOGIN, ticket[1]) if ticket is not None and ticket[0] == action else None
        challenge = self._challenges.take(subject, given.get("challenge", ""), action)
        if challenge is None:
            return None
        if method == PASSKEY:
            return await self._by_passkey(rows, challenge, given.get("credential", ""))
        return await self._by_ssh(rows, challenge, given.get("signature", "")) if method == SSH else None

    @staticmethod
    async def _convinces(rows: Sequence[CredentialRow], action: bytes, proof: Proof) -> bool:
        """Whether an auditor will believe it: what ``verify`` does not is no proof, else it would fail for ever."""
        for row in rows:
            if row.id == proof.key:
                key = passkeys.read(row.public, 0).key if row.method == PASSKEY else row.public
                signature, signed = proof.signature, proof.signed
                return await asyncio.to_thread(proof_holds, row.method, key, action, signature, signed)
        return False

    async def _by_passkey(self, rows: Sequence[CredentialRow], challenge: Challenge, answer: str) -> Proof | None:
        name = passkeys.named(answer)
        for row, key in known_passkeys(rows):
            if key.id != name:
                continue
            found = await asyncio.to_thread(self.passkeys.asserted, answer, challenge.bytes, key)
            if found is None or (found.counter and not await self.enrolled.moved(row, found.counter)):
                return None
            signed = proofs.packed(challenge.nonce, found.authenticator, found.client)
            return Proof(PASSKEY, row.id, found.signature, signed)
        return None

    async def _by_ssh(self, rows: Sequence[CredentialRow], challenge: Challenge, signature: str) -> Proof | None:
        for row in (row for row in rows if row.method == SSH):
            counter = await asyncio.to_thread(sshsig.verify, row.public, challenge.message, signature)
            if counter is None:
                continue
            if counter and not await self.enrolled.moved(row, counter):
                return None
            return Proof(SSH, row.id, signature.strip().encode(), challenge.message)
        return None

    # by way of a browser

    def ticket(self, person: Identity, action: bytes, how: str = "") -> str:
        """A ticket for a fresh login at the provider ``how`` (``oidc:NAME``) that was made for this very action."""
        return self._tickets.put(person.person.subject, (action, how))

    def challenge(self, person: Identity, id: str) -> Challenge:
        """One that waits for this person. Raises Refused ``challenge.unknown``."""
        found = self._challenges.find(person.person.subject, id)
        if found is None:
            raise Refused(
                "there is no such question to you, or its time is over",
                hint="Start again where you came from.",
                code="challenge.unknown",
            )
        return found

    async def passkey_options(self, challenge: Challenge) -> dict[str, Any]:
        """What ``navigator.credentials.get`` takes for a challenge; empty when its person has no passkey."""
        known = [key for _, key in known_passkeys(await self.enrolled.of(challenge.subject))]
        return self.passkeys.options(challenge.bytes, known) if known else {}

    async def fulfil(self, person: Identity, id: str, offered: Offered, *, peer: str = "") -> Challenge:
        """Prove in a browser what a terminal waits for. Raises as ``challenge`` and ``prove``.

        ``offered`` may answer this very challenge, or one that was begun for the same action.
        """
        waiting = self.challenge(person, id)
        if offered.get("method") == BROWSER:
            raise AgentError("this is not a proof", code="stepup.wrong")
        waiting.proof = await self.prove(person, waiting.action, offered, words=waiting.words, peer=peer)
        return waiting

    def _left(self, subject: str, action: bytes, id: str) -> Proof | None:
        found = self._challenges.find(subject, id)
        if found is None or found.action != action:
            return None
        if found.proof is None:
            raise AgentError("nobody has proven anything yet", hint="Go on in the browser.", code="stepup.waiting")
        self._challenges.forget(found)
        return found.proof

    # what is asked

    async def methods(self, subject: str) -> dict[str, Any]:
        """How a person can prove themselves: ``methods``, and whether a one-time password belongs to the password."""
        return self._methods(await self.enrolled.of(subject), await asyncio.to_thread(self._linked, subject))

    def _methods(self, rows: Sequence[CredentialRow], linked: bool) -> dict[str, Any]:
        own = {row.method for row in rows}
        found = [method for method in (PASSWORD, PASSKEY, SSH) if method in own]
        return {"methods": found + [LOGIN] * linked, "otp": {PASSWORD, TOTP} <= own}

    async def _asked(
        self, rows: Sequence[CredentialRow], subject: str, action: bytes, words: str, *, wrong: bool = False
    ) -> AgentError:
        """The error that asks for a proof, with all that is needed to give one."""
        challenge = self._challenges.begin(subject, action, words)
        linked = await asyncio.to_thread(self._linked, subject)
        details = {
            **self._methods(rows, linked),
            "action": challenge.words,
            "challenge": challenge.id,
            "sign": challenge.message.decode(),
            "namespace": sshsig.NAMESPACE,
            "seconds": Challenges.life,
            "url": f"{self._address}/prove/{challenge.id}",
        }
        message = "the proof does not hold" if wrong else "this needs a fresh proof that it is you"
        hint = f"To {challenge.words}, prove it with one of your credentials, or open {details['url']}"
        if not details["methods"]:
            hint = "You have nothing to prove it with. An administrator gives out a code: tidegate people code NAME"
        return AgentError(message, hint=hint, code="stepup.wrong" if wrong else "stepup.required", details=details)

    def _note(self, subject: str, action: bytes, proof: Proof, peer: str) -> None:
        fields: dict[str, Json] = {"sub": subject, "how": proof.method, "cred": proof.key}
        fields["for"] = hashlib.sha256(action).hexdigest()
        if proof.signature:
            fields |= {"sig": _text(proof.signature), "sgd": _text(proof.signed)}
        self._log.append("auth.ok", fields, private={"stmt": action, "net": peer.encode()})


class _Wrong(Exception):
    """The secret was wrong: an attempt counts unless its block ends well."""


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def known_passkeys(rows: Sequence[CredentialRow]) -> list[tuple[CredentialRow, passkeys.Passkey]]:
    """The passkeys among credentials."""
    return [(row, passkeys.read(row.public, row.counter)) for row in rows if row.method == PASSKEY]
