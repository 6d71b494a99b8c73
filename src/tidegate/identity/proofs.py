"""Whether a recorded proof holds: what an auditor checks, with the public key of the enrolment and nothing else.

``sig`` and ``sgd`` of a leaf are the signature and what it needs (docs/spec/log.md); the action is made again from the
leaf, so a signature that was made for something else, or moved to another leaf, does not hold.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from cryptography.exceptions import InvalidSignature
from webauthn.helpers import base64url_to_bytes, decode_credential_public_key, decoded_public_key_to_cryptography
from webauthn.helpers.verify_signature import verify_signature

from . import passkeys, sshsig

_VERIFIED = 0x04
"""The flag of an authenticator that verified its user (WebAuthn section 6.1)."""

_NONCE = 32
"""Bytes of a nonce: were its length free, its end could pass for the beginning of an action."""


def holds(method: str, public: bytes, action: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether the key ``public`` (``cred.enrolled{pub}``) signed ``action``, by ``passkey`` or ``ssh``."""
    try:
        if method == "ssh":
            return _by_ssh(public, action, signature, signed)
        return method == "passkey" and _by_passkey(public, action, signature, signed)
    except Exception:  # whatever a parser of foreign bytes raises, the proof does not hold
        return False


def message(action: bytes, nonce: bytes) -> bytes:
    """What an ssh key signs: the action, and a nonce so that it is signed once."""
    return action + b"\nnonce " + nonce.hex().encode()


def packed(nonce: bytes, authenticator: bytes, client: bytes) -> bytes:
    """What a passkey's signature needs: nonce, authenticator data and client data in hex, a line each."""
    return b"\n".join(part.hex().encode() for part in (nonce, authenticator, client))


def _by_ssh(public: bytes, action: bytes, signature: bytes, signed: bytes) -> bool:
    nonce = bytes.fromhex(signed.rpartition(b"\nnonce ")[2].decode())
    made_again = len(nonce) == _NONCE and hmac.compare_digest(message(action, nonce), signed)
    return made_again and sshsig.verify(public, signed, signature.decode()) is not None


def _by_passkey(public: bytes, action: bytes, signature: bytes, signed: bytes) -> bool:
    nonce, authenticator, client = (bytes.fromhex(part.decode()) for part in signed.split(b"\n"))
    said = json.loads(client)
    asked = base64url_to_bytes(said["challenge"])
    if said["type"] != "webauthn.get" or not hmac.compare_digest(asked, passkeys.challenge(nonce, action)):
        return False
    if len(nonce) != _NONCE or not authenticator[32] & _VERIFIED:
        return False
    decoded = decode_credential_public_key(public)
    try:
        verify_signature(
            public_key=decoded_public_key_to_cryptography(decoded),
            signature_alg=decoded.alg,
            signature=signature,
            data=authenticator + hashlib.sha256(client).digest(),
        )
    except InvalidSignature:
        return False
    return True
