"""Checkpoints: a signed statement of how large the log is and what its root is.

A checkpoint is a C2SP signed note whose text is the origin, the size and the root (c2sp.org/tlog-checkpoint). The name
of the log key is the origin. Invariant: ``open_checkpoint`` gives nothing that the key did not sign.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tidegate.errors import IntegrityError

ED25519 = b"\x01"
DASH = "\u2014 "


def key_id(name: str, public: bytes) -> bytes:
    """The first four bytes of SHA-256(name || 0x0A || 0x01 || public key), c2sp.org/signed-note."""
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public log key under its name."""

    name: str
    public: bytes

    @property
    def vkey(self) -> str:
        """The key as text: name, key id in hex, base64 of type and key."""
        return f"{self.name}+{key_id(self.name, self.public).hex()}+{b64encode(ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """The key of a ``vkey`` line. Raises IntegrityError when it is malformed."""
        name, _, rest = vkey.partition("+")
        identifier, _, encoded = rest.partition("+")
        try:
            raw = b64decode(encoded, validate=True)
        except ValueError:
            raw = b""
        key = cls(name, raw[1:])
        if not name or len(raw) != 33 or key.vkey != vkey or identifier != key_id(name, raw[1:]).hex():
            raise IntegrityError("The verifier key is malformed.", hint="Copy the whole `vkey` line of the log again.")
        return key


@dataclass(frozen=True, slots=True, repr=False)
class LogKey:
    """The private log key under its name; never shown."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """``text``, which ends in a newline, as a signed note."""
        signature = key_id(self.name, self.verifier.public) + self.private.sign(text.encode())
        return f"{text}\n{DASH}{self.name} {b64encode(signature).decode()}\n".encode()


def open_note(note: bytes, key: Verifier) -> str:
    """The text of a note that ``key`` signed, by the rules of c2sp.org/signed-note. Raises IntegrityError."""
    try:
        text, blank, lines = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise IntegrityError("The note is not UTF-8.") from None
    text += "\n"
    if not blank or not lines.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise IntegrityError("The note is malformed.")
    for line in lines.removesuffix("\n").split("\n"):
        signature = _signature(line, key)
        if signature is not None:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
            except InvalidSignature:
                raise IntegrityError(f"The signature of {key.name} does not hold.") from None
            return text
    raise IntegrityError(f"The note carries no signature of {key.name}.")


def _signature(line: str, key: Verifier) -> bytes | None:
    """The signature in ``line`` if it is one by ``key``; another key's are to be ignored."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        raise IntegrityError("The note has a malformed signature line.") from None
    if dash + " " != DASH or len(raw) < 5 or b64encode(raw).decode() != encoded:
        raise IntegrityError("The note has a malformed signature line.")
    return raw[4:] if name == key.name and raw[:4] == key_id(key.name, key.public) else None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``size`` leaves of the log ``origin`` have ``root``."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text, c2sp.org/tlog-checkpoint, without extension lines."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def open_checkpoint(note: bytes, key: Verifier) -> Checkpoint:
    """The checkpoint that ``key`` signed. Raises IntegrityError."""
    text = open_note(note, key)
    lines = text.splitlines()
    try:
        found = Checkpoint(lines[0], int(lines[1]), b64decode(lines[2], validate=True))
    except (IndexError, ValueError):
        raise IntegrityError("The checkpoint is malformed.") from None
    if found.text != text or len(found.root) != 32 or found.size < 0:
        raise IntegrityError("The checkpoint is malformed.")
    return found
