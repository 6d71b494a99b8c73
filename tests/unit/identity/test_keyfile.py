"""The issuer's key file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tidegate.errors import ConfigError
from tidegate.identity.keyfile import load_or_make


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """The first use makes a key that only the owner can read; later ones load the same."""
    path = tmp_path / "keys" / "issuer.key"
    first, second = load_or_make(path), load_or_make(path)
    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["issuer.key"]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """An exposed key may have been copied: it is not used."""
    path = tmp_path / "issuer.key"
    load_or_make(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError) as caught:
        load_or_make(path)
    assert caught.value.code == "issuer.exposed"


OTHER = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [b"", b"not a key", OTHER])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """Garbage and keys of other kinds are a ConfigError that does not repeat them."""
    path = tmp_path / "issuer.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        load_or_make(path)
    assert caught.value.code == "issuer.unreadable" and "not a key" not in str(caught.value)
