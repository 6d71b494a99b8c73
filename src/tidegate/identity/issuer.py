"""The embedded issuer: short-lived signed tokens, each for one audience, with the chain of who acts for whom.

A token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037, named as RFC 9864 wants it). ``sub`` is the person and
``act`` the further hops, the one that acts outermost (RFC 8693 section 4.1); ``prf`` beside a ``sub`` says how that hop
was proven, unless by a token of ours. Groups are not in it: they are read when it is used. The same key signs rows of
the store, under a prefix that no token can have. What a token says can be put into a client certificate instead, by the
agents' authority.

Invariants: only this key, this algorithm and this type are accepted; nothing is parsed beyond 8 KiB; no error repeats
any part of a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OKPKey

from tidegate.clock import Clock
from tidegate.errors import AgentError
from tidegate.model.identity import Identity

from .certificates import Authority
from .keyfile import load_or_make

ALGORITHM = "Ed25519"
TYPE = "tidegate+jwt"
SIZE_LIMIT = 8 * 1024
"""Most characters of a token."""

CHAIN_LIMIT = 8
"""Most hops of a chain."""

VIA_LIMIT = 4 * CHAIN_LIMIT
"""Most ids that a token rests on: each exchange adds two tokens and their grants."""

MINTED = "token"
"""How a hop was proven that stands in a token which this gateway minted for it (``Hop.proof``)."""

_USE = {"use": "sig", "alg": ALGORITHM}
_ROW = b"tidegate store row v1\x00"
_ASK = "Get a new one: tidegate token create, or tidegate login for the API."


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: subjects from the person to the one that acts; ``issued`` and ``expires`` in Unix seconds.

    ``proofs`` says how each of them was proven (``Hop.proof``); it is empty when all were by a token of ours. ``via``
    are the ids of tokens and grants that it was exchanged for: it ends with any of them.
    """

    chain: tuple[str, ...]
    audience: str
    id: str
    grant: str
    issued: int
    expires: int
    proofs: tuple[str, ...] = ()
    via: tuple[str, ...] = ()


class Issuer:
    """Mints and verifies tokens under ``name``, with the key ``issuer.key`` of ``directory``.

    Raises ConfigError when the key file cannot be used.
    """

    def __init__(self, directory: Path, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._key = load_or_make(directory / "issuer.key")
        self._public = self._key.public_key()
        self._signing = OKPKey.import_key(self._key)
        self._verifying = OKPKey.import_key(self._public)
        self._authority = Authority(directory, name, self._now())
        self._header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._verifying.thumbprint()}

    def mint(
        self, identity: Identity, *, audience: str, ttl: int, grant: str = "", via: Sequence[str] = ()
    ) -> tuple[str, Claims]:
        """A token for ``identity`` that lives ``ttl`` seconds. Raises ValueError for a chain or life that cannot be."""
        chain = tuple(hop.subject for hop in identity.chain)
        if ttl < 1 or not 1 <= len(chain) <= CHAIN_LIMIT or len(via) > VIA_LIMIT:
            raise ValueError(f"no token for {len(chain)} hops and {ttl} seconds")
        now, proofs = self._now(), _unusual(hop.proof for hop in identity.chain)
        claims = Claims(chain, audience, self._clock.name("tk"), grant, now, now + ttl, proofs, tuple(via))
        return jwt.encode(self._header, self._body(claims), self._signing, algorithms=[ALGORITHM]), claims

    def verify(self, token: str, audience: str) -> Claims:
        """What a token says, if it is ours, for ``audience`` and in force.

        Raises AgentError: ``token.malformed``, ``token.signature``, ``token.audience``, ``token.not_yet``,
        ``token.expired``.
        """
        return self._in_force(self._open(token), audience)

    @property
    def keys(self) -> dict[str, Any]:
        """The public keys by which others may check a token: a JWK Set (RFC 7517 section 5)."""
        return {"keys": [{**self._verifying.as_dict(private=False), **_USE, "kid": self._header["kid"]}]}

    @property
    def authority(self) -> str:
        """The certificate (PEM) of the authority that ``certify`` signs by."""
        return self._authority.certificate

    def certify(self, claims: Claims, key: str) -> str:
        """A client certificate (PEM) for a public key (PEM), which says what the token of ``claims`` says.

        Raises AgentError ``request.key``.
        """
        body = json.dumps(self._body(claims)).encode()
        return self._authority.certify(key, body, claims.chain[-1], claims.issued, claims.expires)

    def verify_certificate(self, certificate: bytes, audience: str) -> Claims:
        """What a client certificate (DER) says; as ``verify``. Raises AgentError."""
        body = self._authority.claims(certificate)
        try:
            return self._in_force(dict(json.loads(body)), audience)
        except (ValueError, TypeError, RecursionError):
            raise _malformed() from None

    def _body(self, claims: Claims) -> dict[str, Any]:
        body: dict[str, Any] = {
            "iss": self._name,
            "aud": claims.audience,
            "iat": claims.issued,
            "nbf": claims.issued,
            "exp": claims.expires,
            "jti": claims.id,
        }
        if claims.grant:
            body["grant"] = claims.grant
        if claims.via:
            body["via"] = list(claims.via)
        person, *acting = zip(claims.chain, claims.proofs or (MINTED,) * len(claims.chain), strict=True)
        body |= _said(*person)
        if acting:
            body["act"] = _nested(acting)
        return body

    def _in_force(self, body: dict[str, Any], audience: str) -> Claims:
        try:
            claims, begins = _claims(body), _number(body["nbf"])
        except (KeyError, TypeError, ValueError) as error:
            raise _malformed() from error
        if body.get("iss") != self._name:
            raise AgentError("the token is from another gateway", hint=_ASK, code="token.signature")
        if claims.audience != audience:
            raise AgentError(
                "the token is for something else",
                hint="A token opens one resource, and a login only the API. " + _ASK,
                code="token.audience",
            )
        now = self._now()
        if now < begins:
            raise AgentError("the token is not valid yet", hint="Check this machine's clock.", code="token.not_yet")
        if now >= claims.expires:
            raise AgentError("the token has expired", hint=_ASK, code="token.expired")
        return claims

    def sign_row(self, data: bytes) -> bytes:
        """A signature for a row of the store."""
        return self._key.sign(_ROW + data)

    def verify_row(self, data: bytes, signature: bytes) -> bool:
        """Whether ``sign_row`` made it."""
        try:
            self._public.verify(signature, _ROW + data)
        except InvalidSignature:
            return False
        return True

    def _open(self, token: str) -> dict[str, Any]:
        if len(token) > SIZE_LIMIT or not token.isascii():
            raise _malformed()
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("typ") != TYPE or header.get("alg") != ALGORITHM or set(header) != set(self._header):
                raise _malformed()
            if header["kid"] != self._header["kid"]:
                raise AgentError("the token was signed by another gateway's key", hint=_ASK, code="token.signature")
            return dict(jwt.decode(token, self._verifying, algorithms=[ALGORITHM]).claims)
        except BadSignatureError:
            raise AgentError("the token's signature does not hold", hint=_ASK, code="token.signature") from None
        except (JoseError, ValueError, TypeError, RecursionError):
            # Causes are cut off, since they may quote the token.
            raise _malformed() from None

    def _now(self) -> int:
        return self._clock.now() // 1_000_000


def ours(token: str) -> bool:
    """Whether a credential says that it is a token of this kind; nothing is proven by it. Never raises."""
    if len(token) > SIZE_LIMIT or not token.isascii():
        return False
    try:
        return bool(jws.extract_compact(token.encode()).headers().get("typ") == TYPE)
    except (JoseError, ValueError, TypeError, RecursionError):
        return False


def _said(subject: str, proof: str) -> dict[str, Any]:
    return {"sub": subject} if proof == MINTED else {"sub": subject, "prf": proof}


def _nested(hops: Iterable[tuple[str, str]]) -> dict[str, Any]:
    act: dict[str, Any] = {}
    for subject, proof in hops:
        said = _said(subject, proof)
        act = {**said, "act": act} if act else said
    return act


def _unusual(proofs: Iterable[str]) -> tuple[str, ...]:
    """The proofs, or nothing when all hops were proven by a token of ours."""
    found = tuple(proofs)
    return found if any(proof != MINTED for proof in found) else ()


def _claims(body: dict[str, Any]) -> Claims:
    hops: list[tuple[str, str]] = []
    act = body.get("act")
    while act is not None and len(hops) < CHAIN_LIMIT:
        hops.append(_heard(act))
        act = act.get("act")
    if act is not None:
        raise ValueError("the chain is too long")
    chain, proofs = zip(_heard(body), *reversed(hops), strict=True)
    grant = _text(body["grant"]) if "grant" in body else ""
    issued, expires = _number(body["iat"]), _number(body["exp"])
    via = _texts(body.get("via", []))
    return Claims(chain, _text(body["aud"]), _text(body["jti"]), grant, issued, expires, _unusual(proofs), via)


def _heard(said: dict[str, Any]) -> tuple[str, str]:
    """A hop's subject and how it was proven."""
    return _text(said["sub"]), _text(said.get("prf", MINTED))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > VIA_LIMIT:
        raise TypeError("not a list")
    return tuple(map(_text, value))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a number")
    return value


def _malformed() -> AgentError:
    return AgentError(
        "this is not a token of this gateway",
        hint="Present the whole token where this program asks for a password. " + _ASK,
        code="token.malformed",
    )
