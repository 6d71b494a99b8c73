"""The log key on disk.

A fresh key lies under ``log.key.fresh`` until the log's first leaf, which names it, is durable. Invariant: where there
is a ``log.key``, there was a log; a key without leaves is a loss, not a beginning.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tidegate.errors import IntegrityError

from .checkpoint import LogKey
from .files import sync_directory, write_file


class KeyFile:
    """The key file of the log ``name`` in ``directory``. Raises OSError."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / "log.key"
        self._fresh = directory / "log.key.fresh"
        self.established = self._path.exists()
        if not self.established and not self._fresh.exists():
            private = Ed25519PrivateKey.generate()
            write_file(self._fresh, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            sync_directory(directory)
        self.key = LogKey(name, self._load(self._path if self.established else self._fresh))

    def establish(self) -> None:
        """Give the key its place, once the log that it signs has begun."""
        if not self.established:
            self._fresh.rename(self._path)
            sync_directory(self._path.parent)
            self.established = True

    @staticmethod
    def _load(path: Path) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise IntegrityError(f"{path.name} is not the log's key.", hint="Restore it from the backup of keys.")
        return key
