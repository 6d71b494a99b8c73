"""Signatures of ssh keys over a message, as ``ssh-keygen -Y sign -n tidegate`` makes them (OpenSSH, PROTOCOL.sshsig).

Keys: ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa from 2048 bits (signing with rsa-sha2-512), and security keys (sk-*,
PROTOCOL.u2f), which must say that somebody touched them. Other keys and other namespaces are refused. A signature
names its own key: whoever checks compares it with the one they know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tidegate.errors import AgentError

NAMESPACE = "tidegate"
"""What a signature is for, so that one made over a commit or a file says nothing here."""

SIZE_LIMIT = 16 * 1024
"""Most characters of an armoured signature, or of a public key."""

_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_ED25519, _ECDSA, _RSA = b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ssh-rsa"
_SK_ED25519, _SK_ECDSA = b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"
_TOUCHED = 1
"""The flag of a security key: somebody was there (PROTOCOL.u2f)."""

_RSA_BITS = (2048, 8192)

_Public: TypeAlias = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key: ``blob`` is its form on the wire, ``comment`` what its owner calls it."""

    blob: bytes
    comment: str
    kind: bytes
    key: _Public
    application: bytes = b""

    @property
    def fingerprint(self) -> str:
        """As ``ssh-keygen -l`` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


class _Reader:
    """Strings and numbers of the wire (RFC 4251 section 5). Raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("it is cut off")
        part, self._at = self._data[self._at : end], end
        return part

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def integer(self) -> int:
        value = int.from_bytes(self.string(), "big", signed=True)
        if value < 0:
            raise ValueError("a number is negative")
        return value

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError("something follows")


def public_key(line: str) -> PublicKey:
    """The key of a line of a ``.pub`` file. Raises AgentError ``request.key``."""
    parts = line.strip().split(None, 2) if len(line) <= SIZE_LIMIT and "\n" not in line.strip() else []
    try:
        if len(parts) < 2:
            raise ValueError("it is no line of a .pub file")
        blob = base64.b64decode(parts[1], validate=True)
        found = _key(blob, parts[2] if len(parts) > 2 else "")
        if found.kind.decode() != parts[0]:
            raise ValueError("the kinds differ")
    except (ValueError, binascii.Error):
        raise AgentError(
            "this is no public key that can be used",
            hint="Give the line of a .pub file: ssh-ed25519, ecdsa-sha2-nistp256, ssh-rsa from 2048 bits, or sk-*.",
            code="request.key",
        ) from None
    return found


def verify(blob: bytes, message: bytes, signature: str) -> int | None:
    """Whether the key ``blob`` signed ``message``: None if not, else a security key's counter, 0 for others."""
    try:
        return _verified(blob, message, _unarmoured(signature))
    except (ValueError, binascii.Error, InvalidSignature):
        return None


def _unarmoured(text: str) -> bytes:
    lines = text.strip().splitlines() if len(text) <= SIZE_LIMIT else []
    if len(lines) < 3 or lines[0].strip() != _BEGIN or lines[-1].strip() != _END:
        raise ValueError("it is not armoured")
    return base64.b64decode("".join(line.strip() for line in lines[1:-1]), validate=True)


def _verified(blob: bytes, message: bytes, data: bytes) -> int:
    reader = _Reader(data)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != 1:
        raise ValueError("it is no such signature")
    signer, namespace, reserved, hashed_by = (reader.string() for _ in range(4))
    inner = reader.string()
    reader.end()
    if not hmac.compare_digest(signer, blob) or namespace != NAMESPACE.encode():
        raise ValueError("another key, or for something else")
    if hashed_by not in _HASHES:
        raise ValueError("the hash is unknown")
    digest = _HASHES[hashed_by](message).digest()
    signed = _MAGIC + b"".join(_string(part) for part in (namespace, reserved, hashed_by, digest))
    return _checked(_key(blob, ""), signed, _Reader(inner))


def _checked(key: PublicKey, signed: bytes, signature: _Reader) -> int:
    """The counter, if the signature holds. Raises InvalidSignature, ValueError."""
    algorithm, value = signature.string(), signature.string()
    counter = 0
    if key.application:
        rest = signature.take(5)
        if not rest[0] & _TOUCHED:
            raise ValueError("nobody touched it")
        counter = int.from_bytes(rest[1:], "big")
        signed = hashlib.sha256(key.application).digest() + rest + hashlib.sha256(signed).digest()
    signature.end()
    if algorithm != (b"rsa-sha2-512" if key.kind == _RSA else key.kind):
        raise ValueError("the algorithm is not the key's")
    match key.key:
        case ed25519.Ed25519PublicKey() as public:
            public.verify(value, signed)
        case ec.EllipticCurvePublicKey() as public:
            public.verify(_der(value), signed, ec.ECDSA(hashes.SHA256()))
        case rsa.RSAPublicKey() as public:
            public.verify(value, signed, padding.PKCS1v15(), hashes.SHA512())
    return counter


def _key(blob: bytes, comment: str) -> PublicKey:
    """The key of a blob (RFC 4253 section 6.6, RFC 5656, RFC 8709, PROTOCOL.u2f). Raises ValueError."""
    reader = _Reader(blob)
    kind = reader.string()
    key: _Public
    if kind in (_ED25519, _SK_ED25519):
        key = ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
    elif kind in (_ECDSA, _SK_ECDSA):
        if reader.string() != b"nistp256":
            raise ValueError("another curve")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), reader.string())
    elif kind == _RSA:
        exponent, modulus = reader.integer(), reader.integer()
        if not _RSA_BITS[0] <= modulus.bit_length() <= _RSA_BITS[1]:
            raise ValueError("too short or too long")
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    else:
        raise ValueError("another kind")
    application = reader.string() if kind in (_SK_ED25519, _SK_ECDSA) else b""
    if kind in (_SK_ED25519, _SK_ECDSA) and not application:
        raise ValueError("a security key without application")
    reader.end()
    return PublicKey(blob, comment, kind, key, application)


def _der(value: bytes) -> bytes:
    reader = _Reader(value)
    first, second = reader.integer(), reader.integer()
    reader.end()
    return encode_dss_signature(first, second)


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
