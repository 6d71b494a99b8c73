"""Recorded proofs, checked as an auditor does: with the public key, long afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from authenticator import Authenticator
from tidegate.identity import passkeys, proofs
from tidegate.identity.passkeys import Passkeys
from unit.identity.test_sshsig import made, public, signed

NONCE, ACTION, OTHER = bytes(range(32)), b"tidegate action v1\napprove\nap_1", b"tidegate action v1\napprove\nap_2"


def by_passkey(device: Authenticator) -> tuple[bytes, bytes, bytes]:
    """The key, and the signature over the action with what it needs."""
    site = Passkeys(device.origin, "example.org")
    challenge = passkeys.challenge(NONCE, ACTION)
    enrolled = site.registered(device.create(site.registration("u_1", "alice", challenge, [])), challenge)
    assert enrolled is not None
    found = site.asserted(device.get_for(challenge), challenge, enrolled)
    assert found is not None
    return enrolled.key, found.signature, proofs.packed(NONCE, found.authenticator, found.client)


def test_ssh(tmp_path: Path) -> None:
    """It holds for its action and key, and for no other action, key or signature."""
    key, other = made(tmp_path, "ed25519"), made(tmp_path, "ed25519")
    over = proofs.message(ACTION, NONCE)
    signature = signed(key, over).encode()
    assert proofs.holds("ssh", public(key).blob, ACTION, signature, over)
    assert not proofs.holds("ssh", public(other).blob, ACTION, signature, over)
    assert not proofs.holds("ssh", public(key).blob, OTHER, signature, over)
    assert not proofs.holds("ssh", public(key).blob, OTHER, signature, proofs.message(OTHER, NONCE))
    assert not proofs.holds("ssh", public(key).blob, ACTION, signature, over.upper())


def test_passkey() -> None:
    """It holds for its action and key, and for no other action, key, nonce or client data."""
    key, signature, over = by_passkey(Authenticator())
    nonce, authenticator, client = (bytes.fromhex(part.decode()) for part in over.split(b"\n"))
    moved = {**json.loads(client), "origin": "https://evil.example"}
    assert proofs.holds("passkey", key, ACTION, signature, over)
    assert not proofs.holds("passkey", key, OTHER, signature, over)
    assert not proofs.holds("passkey", by_passkey(Authenticator())[0], ACTION, signature, over)
    assert not proofs.holds("passkey", key, ACTION, signature, proofs.packed(bytes(32), authenticator, client))
    assert not proofs.holds(
        "passkey", key, ACTION, signature, proofs.packed(nonce, authenticator, json.dumps(moved).encode())
    )


def test_unverified_user() -> None:
    """An authenticator that did not verify its user proves nothing about a person."""
    key, signature, over = by_passkey(Authenticator())
    nonce, authenticator, client = (bytes.fromhex(part.decode()) for part in over.split(b"\n"))
    present = authenticator[:32] + bytes([authenticator[32] & ~4]) + authenticator[33:]
    assert not proofs.holds("passkey", key, ACTION, signature, proofs.packed(nonce, present, client))


def test_nonsense() -> None:
    """Whatever a leaf holds, the answer is no."""
    for method in ("ssh", "passkey", "password", ""):
        for value in (b"", b"\n\n", b"x", bytes(100), b"00\n00\n7b7d"):
            assert not proofs.holds(method, value, ACTION, value, value)
