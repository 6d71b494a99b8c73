"""What the store keeps secret: sealed with AES-256-GCM (NIST SP 800-38D) under a key that is not in the store.

A sealed value is a random nonce of 12 bytes, the ciphertext and its tag. ``about`` says what the value is for, such as
``totp:c_12ab``; it is bound to it, so that a value moved to another row cannot be opened there.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tidegate.errors import IntegrityError

_NONCE = 12


class Box:
    """Seals and opens under ``key`` (32 bytes). Raises ValueError for a key of another length."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a box's key has 32 bytes")
        self._cipher = AESGCM(key)

    def seal(self, value: bytes, about: str) -> bytes:
        """The sealed value."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """What ``seal`` was given. Raises IntegrityError ``store.forged`` when it was not sealed so, for this."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError):
            raise IntegrityError(
                "a sealed value of the store cannot be opened",
                hint="The file keys/store.key belongs to another store, or somebody changed the store's file.",
                code="store.forged",
            ) from None
