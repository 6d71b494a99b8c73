"""Challenges: what somebody is asked to prove, for one action, once, within a few minutes.

A challenge is answered with a signature over its ``message`` (an ssh key) or its ``bytes`` (a passkey), or in a browser
that leaves the proof with it for the terminal that waits. It holds for one person and one action.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from tidegate.clock import Clock
from tidegate.identity import passkeys, proofs
from tidegate.model.proof import Proof

from .passing import LIFE, Passing

_WORDS = {
    "connect": "open {} as yourself",
    "approve": "approve {}",
    "refuse": "refuse {}",
    "enrol": "add to your credentials: {}",
    "revoke": "remove from your credentials: {}",
    "password": "change your password",
    "break-glass": "break the glass for {}",
    "review": "review {}",
    "admit": "let {} in with a one-time code",
    "link": "say who {} is elsewhere",
}
"""What a verb of ``model.proof.action`` is to people; the last part of the action stands in for ``{}``."""


@dataclass(slots=True)
class Challenge:
    """``words`` say the action to people; ``proof`` is there once a browser has left one; ``spent`` once answered."""

    subject: str
    action: bytes
    words: str
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    proof: Proof | None = None
    spent: bool = False
    id: str = ""

    @property
    def message(self) -> bytes:
        """What an ssh key signs: the action, and a nonce so that it is signed once."""
        return proofs.message(self.action, self.nonce)

    @property
    def bytes(self) -> bytes:
        """What a passkey signs."""
        return passkeys.challenge(self.nonce, self.action)


class Challenges:
    """Those that wait for an answer. Event loop only."""

    life = LIFE
    """Seconds that one may take."""

    def __init__(self, clock: Clock) -> None:
        self._waiting: Passing[Challenge] = Passing(clock)

    def begin(self, subject: str, action: bytes, words: str = "") -> Challenge:
        """A new one for a person."""
        challenge = Challenge(subject, action, words or spoken(action))
        challenge.id = self._waiting.put(subject, challenge)
        return challenge

    def find(self, subject: str, id: str) -> Challenge | None:
        """One that waits for this person."""
        return self._waiting.find(subject, id)

    def take(self, subject: str, id: str, action: bytes) -> Challenge | None:
        """One to answer, by this person and for this action; the first answer is the last, be it right or wrong."""
        challenge = self._waiting.find(subject, id)
        if challenge is None or challenge.spent:
            return None
        challenge.spent = True
        return challenge if challenge.action == action else None

    def forget(self, challenge: Challenge) -> None:
        """It is over."""
        self._waiting.take(challenge.subject, challenge.id)


def spoken(action: bytes) -> str:
    """An action in words."""
    _, verb, *about = action.decode().split("\n")
    return _WORDS.get(verb, f"{verb} {{}}").format(about[0] if about else "").strip()
