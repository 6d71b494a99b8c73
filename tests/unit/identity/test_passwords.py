"""Passwords: argon2id, few at a time, the same work for nobody as for somebody."""

from __future__ import annotations

import asyncio
import re

import pytest
from argon2 import PasswordHasher

from tidegate.errors import AgentError
from tidegate.identity.passwords import LONGEST, QUEUE, SLOTS, Passwords, demand

GOOD = "river anvil 91 sparrow"


def test_hash_is_argon2id_with_the_parameters_of_the_rfc() -> None:
    """RFC 9106 section 4: three passes over 64 MiB in four lanes, and another salt each time."""
    passwords = Passwords()
    one, two = (asyncio.run(passwords.hash(GOOD)) for _ in range(2))
    assert re.match(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$", one)
    assert one != two


def test_only_the_password_matches() -> None:
    """Not one that is longer, shorter, or cut off where long ones are."""
    passwords = Passwords()
    kept = asyncio.run(passwords.hash(GOOD))
    tried = [GOOD, GOOD + " ", GOOD[:-1], "", GOOD + "x" * LONGEST]
    assert [asyncio.run(passwords.matches(kept, each)) for each in tried] == [True, False, False, False, False]


def test_what_looks_the_same_is_the_same() -> None:
    """A letter and its accent typed apart are the letter that a keyboard makes of them."""
    passwords = Passwords()
    kept = asyncio.run(passwords.hash("caf\u00e9 anvil sparrow"))
    assert asyncio.run(passwords.matches(kept, "cafe\u0301 anvil\u00a0sparrow"))


def test_nobody_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a kept hash the answer is no, after exactly one verification; also for the password of nobody."""
    verified: list[str] = []
    real = PasswordHasher.verify

    def counting(self: PasswordHasher, hash: str, password: str) -> bool:
        verified.append(hash)
        return real(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    passwords = Passwords()
    assert not asyncio.run(passwords.matches("", "a password that nobody has"))
    assert len(verified) == 1


def test_damaged_hash_matches_nothing() -> None:
    """What is no hash is no password's."""
    assert not asyncio.run(Passwords().matches("$argon2id$v=19$nonsense", GOOD))


def test_other_parameters_are_stale() -> None:
    """A hash of other parameters still holds, and is known to be old."""
    passwords = Passwords()
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
    assert asyncio.run(passwords.matches(old, GOOD))
    assert passwords.stale(old)
    assert not passwords.stale(asyncio.run(passwords.again(GOOD)))


def test_few_are_checked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask, so many run; beyond the queue is a refusal that says to try again."""
    passwords = Passwords()
    running, most = 0, 0

    async def thread(work: object) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return False

    monkeypatch.setattr(asyncio, "to_thread", thread)

    async def flood() -> list[object]:
        tries = (passwords.matches("", GOOD) for _ in range(QUEUE + 3))
        return list(await asyncio.gather(*tries, return_exceptions=True))

    found = asyncio.run(flood())
    assert most == SLOTS
    assert [each.code for each in found if isinstance(each, AgentError)] == ["auth.busy"] * 3


@pytest.mark.parametrize(
    "weak", ["short", "x" * 11, "x" * (LONGEST + 1), "a\tb\nc and more words", "password1234", "tidegate2026!"]
)
def test_weak_is_refused(weak: str) -> None:
    """Too short, too long, unprintable, or guessed first; the error does not repeat it."""
    with pytest.raises(AgentError) as caught:
        demand(weak)
    assert caught.value.code == "password.weak"
    assert weak not in str(caught.value) + caught.value.hint


def test_good_is_taken() -> None:
    """Twelve characters that nobody would guess first."""
    assert demand(GOOD, "alice") == GOOD
