"""Passkeys: made for this site, verified by their user, and bound to one action."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from authenticator import PRESENT, Authenticator
from tidegate.identity import passkeys
from tidegate.identity.passkeys import Passkey, Passkeys

SITE = Passkeys("http://localhost:7443", "example.org")
NONCE, ACTION = bytes(32), b"tidegate action v1\napprove\nap_1"
CHALLENGE = passkeys.challenge(NONCE, ACTION)


def enrolled(device: Authenticator) -> Passkey:
    """The device's passkey as the gateway knows it."""
    made = SITE.registered(device.create(SITE.registration("u_1", "alice", CHALLENGE, [])), CHALLENGE)
    assert made is not None
    return made


def test_options_ask_for_a_verified_user() -> None:
    """Registration and assertion demand it, name the site, and list what is known."""
    device = Authenticator()
    making = SITE.registration("u_1", "alice", CHALLENGE, [enrolled(device)])
    using = SITE.options(CHALLENGE, [enrolled(device)])
    assert making["authenticatorSelection"]["userVerification"] == using["userVerification"] == "required"
    assert (making["rp"]["id"], using["rpId"]) == ("localhost", "localhost")
    assert making["excludeCredentials"][0]["id"] == using["allowCredentials"][0]["id"]


def test_assertion_is_of_this_action() -> None:
    """The same answer proves nothing about another action, nor with another nonce."""
    device = Authenticator()
    known = enrolled(device)
    answer = device.get_for(CHALLENGE)
    found = SITE.asserted(answer, CHALLENGE, known)
    assert found is not None
    assert found.counter == device.counter
    assert SITE.asserted(answer, passkeys.challenge(NONCE, ACTION + b"2"), known) is None
    assert SITE.asserted(answer, passkeys.challenge(bytes(31) + b"1", ACTION), known) is None


@pytest.mark.parametrize(
    "other",
    [
        {"origin": "http://localhost:7444"},
        {"origin": "https://localhost:7443"},
        {"host": "evil.example"},
        {"flags": PRESENT},
        {"flags": 0},
        {"counter": 0},
        {"key": ec.generate_private_key(ec.SECP256R1())},
        {"id": b"another"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_places_keys_and_copies_are_refused(other: dict[str, object]) -> None:
    """Another origin or site, an unverified user, a counter that does not grow, another key."""
    device = Authenticator(counter=5)
    known = enrolled(device)
    copied = replace(device, **other)  # type: ignore[arg-type]
    assert SITE.asserted(copied.get_for(CHALLENGE), CHALLENGE, known) is None


def test_unverified_user_enrols_nothing() -> None:
    """A key that anybody who holds it can use is no passkey."""
    device = Authenticator(flags=PRESENT)
    assert SITE.registered(device.create(SITE.registration("u_1", "alice", CHALLENGE, [])), CHALLENGE) is None


def test_registration_for_another_challenge_is_refused() -> None:
    """An answer that was made for something else."""
    answer = Authenticator().create(SITE.registration("u_1", "alice", bytes(32), []))
    assert SITE.registered(answer, CHALLENGE) is None


@pytest.mark.parametrize(
    "answer", ["", "[]", "null", "{}", "[" * 20_000, '{"id": 5}', "\x00", '{"id": "AAAA"}', "x" * 99_999]
)
def test_nonsense_is_refused(answer: str) -> None:
    """Whatever a browser sends, the answer is no."""
    known = enrolled(Authenticator())
    assert SITE.asserted(answer, CHALLENGE, known) is None
    assert SITE.registered(answer, CHALLENGE) is None
    assert passkeys.named(answer) in (b"", b"\x00\x00\x00", b"\xe7")


def test_torn_answers_are_refused() -> None:
    """An answer with any part missing, or of another kind."""
    device = Authenticator()
    known, answer = enrolled(device), json.loads(device.get_for(CHALLENGE))
    for name in ("authenticatorData", "clientDataJSON", "signature"):
        for value in (None, "", "AA", 7, []):
            torn = {**answer, "response": {**answer["response"], name: value}}
            assert SITE.asserted(json.dumps(torn), CHALLENGE, known) is None


def test_kept_and_read() -> None:
    """What is stored is read back."""
    known = enrolled(Authenticator())
    assert passkeys.read(passkeys.stored(known), known.counter) == known
