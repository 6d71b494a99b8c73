"""Passwords of local people: argon2id (RFC 9106), and which passwords are too weak to take.

A password that nobody has costs as much to check as one that somebody has, so the time taken says nothing about who
exists. Only so many are checked at a time, since each takes 64 MiB. A password stands in no error, log line or repr.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from tidegate.errors import AgentError

from .commonplace import commonplace

SHORTEST, LONGEST = 12, 256
"""Characters of a password (NIST SP 800-63B section 5.1.1 asks for no rules but a length and a list)."""

SLOTS = 2
"""Passwords checked at a time: each takes 64 MiB and a processor for a while."""

QUEUE = 200
"""Most that wait for a slot; the API answers no more at a time anyway."""

T = TypeVar("T")


class Passwords:
    """Hashes and checks. Event loop only; the work runs in threads. ``parameters`` are those of RFC 9106 section 4."""

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._nobody = self._hasher.hash("a password that nobody has")
        self._slots = asyncio.Semaphore(SLOTS)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """What to keep of a new password. Raises AgentError ``password.weak``, ``auth.busy``."""
        text = demand(password)
        return await self._one_of_few(lambda: self._hasher.hash(text))

    async def again(self, password: str) -> str:
        """As ``hash``, for a password that was taken before: it is not judged anew. Raises AgentError ``auth.busy``."""
        return await self._one_of_few(lambda: self._hasher.hash(_normal(password[:LONGEST])))

    async def matches(self, kept: str, password: str) -> bool:
        """Whether ``password`` is the one that ``kept`` was made of; with an empty ``kept`` no, after the same work.

        Raises AgentError ``auth.busy``.
        """
        text = _normal(password[:LONGEST])
        whole = len(password) <= LONGEST
        found = await self._one_of_few(lambda: self._verified(kept or self._nobody, text))
        return found and whole and bool(kept)

    def stale(self, kept: str) -> bool:
        """Whether ``kept`` was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(kept)

    def _verified(self, kept: str, text: str) -> bool:
        try:
            return self._hasher.verify(kept, text)
        except (VerificationError, InvalidHashError):
            return False

    async def _one_of_few(self, work: Callable[[], T]) -> T:
        if self._waiting >= QUEUE:
            raise AgentError("too many passwords are being checked", hint="Try again in a moment.", code="auth.busy")
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def demand(password: str, name: str = "") -> str:
    """The password as it is hashed, if it may be one of the person ``name``. Raises AgentError ``password.weak``."""
    text = _normal(password[: LONGEST + 1])
    if not SHORTEST <= len(text) <= LONGEST or len(password) > LONGEST:
        raise _weak(f"a password has {SHORTEST} to {LONGEST} characters")
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        raise _weak("a password has no control characters")
    if commonplace(text, name):
        raise _weak("this password is among the first that anybody would guess")
    return text


def _normal(password: str) -> str:
    """One form for what looks the same, however it was typed (RFC 8265 section 4.2)."""
    spaced = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in password)
    return unicodedata.normalize("NFC", spaced)


def _weak(message: str) -> AgentError:
    return AgentError(message, hint="Several words that do not belong together are easy to keep.", code="password.weak")
