"""Tokens as a provider signs them, and as somebody else would like to: any header, any claims, any key."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")


def encoded(value: object) -> str:
    """A part of a token: bytes as they are, else JSON."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(header: object, body: object, key: Key, algorithm: str) -> str:
    """A token signed with ``algorithm``, whatever its header says."""
    text = f"{encoded(header)}.{encoded(body)}"
    model = JWSRegistry.algorithms["Ed25519" if algorithm == "EdDSA" else algorithm]
    return f"{text}.{encoded(model.sign(text.encode(), key))}"


def with_secret(header: object, body: object, secret: bytes) -> str:
    """A token signed by HS256 with any bytes as the secret."""
    text = f"{encoded(header)}.{encoded(body)}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"


def key_for(algorithm: str) -> Key:
    """A fresh key pair that fits an algorithm."""
    if algorithm.startswith(("RS", "PS")):
        return RSAKey.generate_key(2048)
    curves = {"ES256": "P-256", "ES384": "P-384"}
    return ECKey.generate_key(curves[algorithm]) if algorithm in curves else OKPKey.generate_key("Ed25519")


@dataclass
class Signer:
    """A provider's key under ``kid``."""

    algorithm: str = "ES256"
    kid: str = "k1"
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        self.key = key_for(self.algorithm)

    @property
    def public(self) -> dict[str, Any]:
        """The key as a provider publishes it."""
        return {**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def token(self, body: object, **header: Any) -> str:
        """A token of these claims; ``header`` adds to and overrides the header."""
        return signed({"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **header}, body, self.key, self.algorithm)


def key_set(*signers: Signer) -> dict[str, Any]:
    """What a provider publishes of its keys."""
    return {"keys": [signer.public for signer in signers]}
