"""SCRAM-SHA-256 against the RFC's own example and against servers that cheat."""

from __future__ import annotations

import pytest

from tidegate.errors import ResourceError
from tidegate.protocols._scram import Scram, prepared

NONCE = "rOprNGfwEbeRWgbNEkqO"
FULL = NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CHALLENGE = f"r={FULL},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def test_without_the_user_name_the_rfcs_proof_differs_only_by_it() -> None:
    """The RFC's example (RFC 7677 section 3) with the user name put back gives the RFC's proof and signature."""
    scram = Scram("pencil", NONCE)
    scram._bare = f"n=user,r={NONCE}"
    final = scram.final(CHALLENGE.encode())
    assert final == f"c=biws,r={FULL},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".encode()
    scram.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize(
    "challenge",
    [
        "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        f"r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        f"r={FULL},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",
        f"r={FULL},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999",
        f"r={FULL},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=x",
        f"r={FULL},s=,i=4096",
        f"r={FULL},s=??,i=4096",
        "\xff",
        "",
    ],
)
def test_dishonest_challenges(challenge: str) -> None:
    """A challenge that is not fresh, not salted, or too cheap or dear to answer is refused."""
    with pytest.raises(ResourceError):
        Scram("pencil", NONCE).final(challenge.encode("latin-1"))


@pytest.mark.parametrize("answer", [b"v=AAAA", b"", b"e=invalid-proof"])
def test_server_must_prove_itself(answer: bytes) -> None:
    """A server that does not know the password is found out."""
    scram = Scram("pencil", NONCE)
    scram.final(CHALLENGE.encode())
    with pytest.raises(ResourceError, match="prove"):
        scram.check(answer)


def test_signature_before_the_challenge_proves_nothing() -> None:
    """A server cannot skip the exchange."""
    with pytest.raises(ResourceError):
        Scram("pencil", NONCE).check(b"v=")


@pytest.mark.parametrize(
    ("given", "used"),
    [("I\u00adX", "IX"), ("\u2168", "IX"), ("a\u00a0b", "a b"), ("\u0007", "\u0007"), ("plain", "plain"), ("", "")],
)
def test_saslprep(given: str, used: str) -> None:
    """RFC 4013 section 3, and a forbidden password is used as it is."""
    assert prepared(given) == used


def test_nothing_shows_the_password() -> None:
    """A Scram in a traceback or log keeps its secret."""
    assert "pencil" not in repr(Scram("pencil", NONCE))
