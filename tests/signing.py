"""Keys of people, and leaves that these sign: passkeys in software, and keys of the real ssh-keygen."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

from authenticator import PRESENT, VERIFIED, Authenticator
from tidegate.identity import passkeys, proofs
from tidegate.model.proof import action

NONCE = bytes(range(32))
SSH_KINDS = {"ed25519": ["-t", "ed25519"], "ecdsa": ["-t", "ecdsa", "-b", "256"], "rsa": ["-t", "rsa", "-b", "2048"]}


@dataclass
class Key:
    """A key of ``subject``; ``sign`` gives signature and what it needs for the bytes of an action."""

    subject: str
    method: str
    public: bytes
    sign: Callable[[bytes], tuple[bytes, bytes]]
    id: str = "c_1"

    @property
    def enrolled(self) -> dict[str, Any]:
        """The leaf of its enrolment."""
        public = base64.b64encode(self.public).decode()
        return {"k": "cred.enrolled", "cred": self.id, "sub": self.subject, "method": self.method, "pub": public}

    @property
    def revoked(self) -> dict[str, Any]:
        """The leaf of its end."""
        return {"k": "cred.revoked", "cred": self.id, "sub": self.subject}

    def signs(self, *about: str) -> dict[str, Any]:
        """What a leaf has that it signed, for the action of these words."""
        signature, signed = (base64.b64encode(part).decode() for part in self.sign(action(*about)))
        return {"how": self.method, "key": self.id, "sig": signature, "sgd": signed}


def ssh_key(directory: Path, kind: str = "ed25519", subject: str = "u_bob", hashed: str = "sha512") -> Key:
    """A fresh key of ssh-keygen."""
    path = directory / f"key{len(list(directory.iterdir()))}"
    subprocess.run(["ssh-keygen", "-q", *SSH_KINDS[kind], "-N", "", "-f", path], check=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-O", f"hashalg={hashed}", "-n", "tidegate", "-f", str(path)]

    def sign(about: bytes) -> tuple[bytes, bytes]:
        over = proofs.message(about, NONCE)
        return subprocess.run(command, input=over, capture_output=True, check=True).stdout, over

    blob = base64.b64decode(path.with_suffix(".pub").read_text().split()[1])
    return Key(subject, "ssh", blob, sign)


def passkey(kind: str = "ES256", subject: str = "u_bob", flags: int = PRESENT | VERIFIED, said: str = "get") -> Key:
    """A fresh passkey that signs by ``kind``: ES256, EdDSA or RS256; ``said`` is what its browser says it did."""
    device = Authenticator(flags=flags)
    cose, signature = {"ES256": _es256, "EdDSA": _eddsa, "RS256": _rs256}[kind](device)

    def sign(about: bytes) -> tuple[bytes, bytes]:
        challenge = bytes_to_base64url(passkeys.challenge(NONCE, about))
        answer = json.loads(device.get({"challenge": challenge}))["response"]
        data, client = (base64url_to_bytes(answer[name]) for name in ("authenticatorData", "clientDataJSON"))
        client = client.replace(b"webauthn.get", b"webauthn." + said.encode())
        return signature(data + hashlib.sha256(client).digest()), proofs.packed(NONCE, data, client)

    return Key(subject, "passkey", encode_cbor(cose), sign)


_Made = tuple[dict[int, Any], Callable[[bytes], bytes]]


def _es256(device: Authenticator) -> _Made:
    numbers = device.key.public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
    return cose, lambda data: device.key.sign(data, ec.ECDSA(hashes.SHA256()))


def _eddsa(_: Authenticator) -> _Made:
    key = ed25519.Ed25519PrivateKey.generate()
    return {1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)}, key.sign


def _rs256(_: Authenticator) -> _Made:
    key = rsa.generate_private_key(65537, 2048)
    modulus = key.public_key().public_numbers().n.to_bytes(256, "big")
    return {1: 3, 3: -257, -1: modulus, -2: b"\1\0\1"}, lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())
