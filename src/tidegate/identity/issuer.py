"""The embedded issuer: short-lived signed tokens, each for one audience, with the chain of who acts for whom.

A token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037, named as RFC 9864 wants it). ``sub`` is the person and
``act`` the further hops, the one that acts outermost (RFC 8693 section 4.1). Groups are not in it: they are read when
it is used. The same key signs rows of the store, under a prefix that no token can have.

Invariants: only this key, this algorithm and this type are accepted; nothing is parsed beyond 8 KiB; no error repeats
any part of a token.
"""

from __future__ import annotations

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

from .keyfile import load_or_make

ALGORITHM = "Ed25519"
TYPE = "tidegate+jwt"
SIZE_LIMIT = 8 * 1024
"""Most characters of a token."""

CHAIN_LIMIT = 8
"""Most hops of a chain."""

_ROW = b"tidegate store row v1\x00"
_ASK = "Get a new one: tidegate token create, or tidegate login for the API."


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: subjects from the person to the one that acts; ``issued`` and ``expires`` in Unix seconds."""

    chain: tuple[str, ...]
    audience: str
    id: str
    grant: str
    issued: int
    expires: int


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
        self._header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._verifying.thumbprint()}

    def mint(self, identity: Identity, *, audience: str, ttl: int, grant: str = "") -> tuple[str, Claims]:
        """A token for ``identity`` that lives ``ttl`` seconds. Raises ValueError for a chain or life that cannot be."""
        chain = tuple(hop.subject for hop in identity.chain)
        if ttl < 1 or not 1 <= len(chain) <= CHAIN_LIMIT:
            raise ValueError(f"no token for {len(chain)} hops and {ttl} seconds")
        now = self._now()
        claims = Claims(chain, audience, self._clock.name("tk"), grant, now, now + ttl)
        body: dict[str, Any] = {
            "iss": self._name,
            "sub": chain[0],
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": claims.expires,
            "jti": claims.id,
        }
        if grant:
            body["grant"] = grant
        if len(chain) > 1:
            body["act"] = _nested(chain[1:])
        return jwt.encode(self._header, body, self._signing, algorithms=[ALGORITHM]), claims

    def verify(self, token: str, audience: str) -> Claims:
        """What a token says, if it is ours, for ``audience`` and in force.

        Raises AgentError: ``token.malformed``, ``token.signature``, ``token.audience``, ``token.not_yet``,
        ``token.expired``.
        """
        body = self._open(token)
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


def _nested(hops: tuple[str, ...]) -> dict[str, Any]:
    act: dict[str, Any] = {}
    for subject in hops:
        act = {"sub": subject, "act": act} if act else {"sub": subject}
    return act


def _claims(body: dict[str, Any]) -> Claims:
    hops: list[str] = []
    act = body.get("act")
    while act is not None and len(hops) < CHAIN_LIMIT:
        hops.append(_text(act["sub"]))
        act = act.get("act")
    if act is not None:
        raise ValueError("the chain is too long")
    chain = (_text(body["sub"]), *reversed(hops))
    grant = _text(body["grant"]) if "grant" in body else ""
    return Claims(chain, _text(body["aud"]), _text(body["jti"]), grant, _number(body["iat"]), _number(body["exp"]))


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
