"""The issuer's private key: one PEM file that only the gateway's own account may read.

It is made on first use, complete or not at all: a crash leaves either no key or this one.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tidegate.errors import ConfigError


def load_or_make(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key at ``path``. Raises ConfigError when the file is no such key or others can read it."""
    if not path.exists():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise ConfigError(
            "the key can be read by other accounts",
            path=str(path),
            hint="Who has read it can issue tokens. Remove the file to get a new key; all tokens end with the old one.",
            code="issuer.exposed",
        )
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _unreadable(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unreadable(path)
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh = path.with_suffix(f".{os.getpid()}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _unreadable(path: Path) -> ConfigError:
    return ConfigError(
        "this is not an Ed25519 private key",
        path=str(path),
        hint="Restore it from a backup, or remove it to get a new key; all tokens end with the old one.",
        code="issuer.unreadable",
    )
