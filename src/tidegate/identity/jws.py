"""Signed tokens of others, read strictly: compact JWS (RFC 7515) with a JSON object inside, and public keys (RFC 7517).

Invariants: nothing is parsed beyond ``SIZE``; an algorithm is one of ``ALGORITHMS`` and fits the kind of key, so a
public key is never taken for a secret; a header says ``alg``, ``kid``, ``typ`` and thumbprints and nothing else, so
that it can neither bring keys along nor name where they are; a member that is there twice is refused.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tidegate.errors import AgentError

SIZE = 16 * 1024
"""Most characters of a token."""

KEYS = 64
"""Most keys of a set."""

ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"})
"""What may be used to sign (RFC 7518, RFC 8037, RFC 9864)."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]{1,2048})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{1,2048})")
_HEADERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_KID = 256
_RSA_BITS = range(2048, 8193)
_EXPONENT_BITS = 32
_CURVES = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was read and not verified."""

    algorithm: str
    kid: str
    type: str
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key of a set: ``kid`` may be empty, ``algorithm`` too when the key is not bound to one."""

    kid: str
    algorithm: str
    key: RSAKey | ECKey | OKPKey

    def fits(self, token: Token) -> bool:
        """Whether the token says that it was signed with this key, or names none, and the algorithm is the key's."""
        if token.kid and token.kid != self.kid:
            return False
        if self.algorithm and self.algorithm != token.algorithm:
            return False
        if isinstance(self.key, RSAKey):
            return token.algorithm in ("RS256", "PS256")
        return _CURVES.get(token.algorithm) == self.key.curve_name

    def verifies(self, token: Token) -> bool:
        """Whether the token's signature holds; the caller has asked ``fits``."""
        model = JWSRegistry.algorithms["Ed25519" if token.algorithm == "EdDSA" else token.algorithm]
        try:
            return bool(model.verify(token.signed, token.signature, self.key))
        except (JoseError, ValueError):
            return False


def read(text: str, algorithms: frozenset[str] = ALGORITHMS) -> Token:
    """The parts of a token. Raises AgentError ``token.malformed``, which repeats nothing of it."""
    found = _COMPACT.fullmatch(text) if len(text) <= SIZE else None
    if found is None:
        raise malformed()
    try:
        header, body, signature = (_decoded(part) for part in found.groups())
        about, claims = object_of(header), object_of(body)
    except (ValueError, RecursionError):
        raise malformed() from None
    algorithm, kid, kind = (about.get(name, "") for name in ("alg", "kid", "typ"))
    texts = isinstance(algorithm, str) and isinstance(kid, str) and isinstance(kind, str)
    if not texts or not set(about) <= _HEADERS or algorithm not in algorithms & ALGORITHMS or len(kid) > _KID:
        raise malformed()
    signed = found[0].rpartition(".")[0].encode()
    return Token(algorithm, kid, kind.lower().removeprefix("application/"), claims, signed, signature)


def public_keys(document: bytes) -> tuple[PublicKey, ...]:
    """The keys for signatures in a set (RFC 7517 section 5); those of other kinds and uses are left out.

    Raises ValueError for what is no such set, or has more than ``KEYS`` keys.
    """
    try:
        keys = object_of(document).get("keys")
    except RecursionError:
        raise ValueError("not a set of keys") from None
    if not isinstance(keys, list) or len(keys) > KEYS:
        raise ValueError("not a set of keys")
    return tuple(key for each in keys if isinstance(each, dict) and (key := _public(each)) is not None)


def _public(given: Mapping[str, Any]) -> PublicKey | None:
    """A key, or None when it is not one to verify with; a key whose private half is in the document is not."""
    kid, algorithm, operations = given.get("kid", ""), given.get("alg", ""), given.get("key_ops", ["verify"])
    if not (isinstance(kid, str) and isinstance(algorithm, str) and isinstance(operations, list)):
        return None
    if given.get("use", "sig") != "sig" or "verify" not in operations or _PRIVATE & set(given):
        return None
    if algorithm and algorithm not in ALGORITHMS:
        return None
    kinds: dict[object, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    kind = kinds.get(given.get("kty"))
    if kind is None:
        return None
    try:
        if kind is RSAKey and not _bearable(given["n"], given["e"]):
            return None
        key = kind.import_key({name: given[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in given})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return PublicKey(kid, algorithm, key)


def _bearable(modulus: str, exponent: str) -> bool:
    """Neither weak nor so large that checking a signature takes long."""
    bits, power = (int.from_bytes(_decoded(text)).bit_length() for text in (modulus, exponent))
    return bits in _RSA_BITS and power <= _EXPONENT_BITS


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def object_of(data: bytes) -> dict[str, Any]:
    """A JSON object without members that are there twice, and without numbers that are none. Raises ValueError."""
    value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _no_number(_: str) -> object:
    raise ValueError("not a number")


def malformed() -> AgentError:
    """What is said of a token that cannot be read."""
    return AgentError(
        "this is not a token that can be understood here",
        hint="Get a new one from the identity provider, signed with one of " + ", ".join(sorted(ALGORITHMS)) + ".",
        code="token.malformed",
    )
