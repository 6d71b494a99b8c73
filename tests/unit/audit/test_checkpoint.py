"""Signed notes and checkpoints."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tidegate.audit.checkpoint import Checkpoint, LogKey, Verifier, open_checkpoint, open_note
from tidegate.errors import IntegrityError

EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE_NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

KEY = LogKey("example.org/gw/gw1/2026", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NOTE = KEY.sign(Checkpoint(KEY.name, 7, bytes(32)).text)


def test_a_note_of_another_implementation_opens() -> None:
    """A published signed note verifies under its published key."""
    key = Verifier.parse(EXAMPLE_KEY)
    assert open_note(EXAMPLE_NOTE, key) == "This is an example message.\n"
    assert key.vkey == EXAMPLE_KEY


def test_a_checkpoint_reads_back() -> None:
    """What was signed is what is read."""
    assert open_checkpoint(NOTE, KEY.verifier) == Checkpoint(KEY.name, 7, bytes(32))
    assert Verifier.parse(KEY.verifier.vkey) == KEY.verifier


def test_no_changed_bit_goes_unnoticed() -> None:
    """Each bit of a checkpoint matters."""
    for at in range(len(NOTE) * 8):
        bad = bytearray(NOTE)
        bad[at // 8] ^= 1 << at % 8
        with pytest.raises(IntegrityError):
            open_checkpoint(bytes(bad), KEY.verifier)


def test_signatures_of_others_are_ignored() -> None:
    """A note with one unknown signature more still opens."""
    other = LogKey("witness.example", Ed25519PrivateKey.generate())
    line = other.sign("x\n").partition(b"\n\n")[2]
    assert open_checkpoint(NOTE + line, KEY.verifier).size == 7


def test_another_key_of_the_same_name_does_not_count() -> None:
    """Name and key id must both be the known key's."""
    with pytest.raises(IntegrityError, match="no signature"):
        open_note(NOTE, LogKey(KEY.name, Ed25519PrivateKey.generate()).verifier)


@pytest.mark.parametrize(
    "text", ["only an origin\n", "o\n07\nAAAA\n", "o\nx\nAAAA\n", f"o\n1\n{'A' * 43}=\nextension\n"]
)
def test_a_signed_note_that_is_no_checkpoint_is_refused(text: str) -> None:
    """A signature does not make a checkpoint."""
    with pytest.raises(IntegrityError, match="malformed"):
        open_checkpoint(KEY.sign(text), KEY.verifier)


@pytest.mark.parametrize("vkey", ["", "a+b+c", EXAMPLE_KEY[:-1], EXAMPLE_KEY.replace("530d", "530e"), "+x+AQ=="])
def test_a_malformed_key_is_refused(vkey: str) -> None:
    """A verifier key carries its own check."""
    with pytest.raises(IntegrityError, match="malformed"):
        Verifier.parse(vkey)


def test_the_private_key_is_not_shown() -> None:
    """A key's repr holds no key."""
    assert bytes(range(32)).hex() not in repr(KEY) and "private" not in repr(KEY).lower().replace("object", "")
