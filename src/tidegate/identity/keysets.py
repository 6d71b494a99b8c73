"""The keys that a provider signs with, and whether a token was signed with one of them for us.

A set of keys comes from an address, from a file, or from where the provider's own discovery document says. It is kept
for ``FRESH`` seconds; then, or when a token names a key that is not in it, it is fetched anew, but not more often than
every ``PAUSE`` seconds, whatever tokens say. While it cannot be fetched, the old one serves until it is ``STALE``.

Invariants: issuer, audience, times and signature must all hold; an unknown key, another issuer and a wrong signature
are told in the same words; a token for several audiences is nobody's; no error repeats anything of a token.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidegate.clock import Clock
from tidegate.errors import AgentError, ConfigError, ResourceError

from .fetch import SIZE, Fetch, checked
from .jws import ALGORITHMS, PublicKey, Token, malformed, object_of, public_keys, read

FRESH = 600
"""Seconds after which a set is fetched anew."""

STALE = 3600
"""Seconds after which a set that could not be fetched anew is not used any more."""

PAUSE = 10
"""Seconds between two fetches, at least."""

LEEWAY = 30
"""Seconds that the provider's clock may be ahead of ours."""

TYPES = frozenset({"", "jwt"})
"""What ``typ`` of a token may be (lower case, without ``application/``)."""

Load = Callable[[], Awaitable[bytes]]
"""Gives a JWK set as it is written. Raises ResourceError, ConfigError."""


def from_url(fetch: Fetch, url: str) -> Load:
    """The set at an address. Raises ConfigError ``provider.address``."""
    checked(url)
    return lambda: fetch.get(url)


def from_file(path: Path) -> Load:
    """The set in a file, which is read anew as an address would be."""
    return lambda: asyncio.to_thread(_content, path)


def discovered(fetch: Fetch, issuer: str) -> Load:
    """The set that the provider's discovery document names. Raises ConfigError ``provider.address``."""
    checked(issuer)

    async def load() -> bytes:
        document = await discover(fetch, issuer)
        return await fetch.get(endpoint(document, "jwks_uri", issuer))

    return load


async def discover(fetch: Fetch, issuer: str) -> Mapping[str, Any]:
    """A provider's discovery document (OpenID Connect Discovery 1.0 section 4), if it is that issuer's.

    Raises ResourceError ``provider.unreachable``, ``provider.answer``.
    """
    try:
        document = object_of(await fetch.get(issuer.rstrip("/") + "/.well-known/openid-configuration"))
    except (ValueError, RecursionError):
        raise unusable(issuer, "its discovery document is not JSON") from None
    if document.get("issuer") != issuer:
        raise unusable(issuer, "its discovery document is another issuer's")
    return document


def endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    """An address in a discovery document. Raises ResourceError ``provider.answer`` when it is none that may be asked.

    A provider that is asked over TLS does not send us to an address without.
    """
    url = document.get(name)
    try:
        if isinstance(url, str) and urlsplit(checked(url)).scheme in ("https", urlsplit(issuer).scheme):
            return url
    except ConfigError:
        pass
    raise unusable(issuer, f"its discovery document has no usable {name}")


class KeySet:
    """Keys from ``load``, for one event loop. ``algorithms`` narrows what may have been used to sign."""

    def __init__(self, load: Load, clock: Clock, algorithms: frozenset[str] = ALGORITHMS) -> None:
        self._load = load
        self._clock = clock
        self._algorithms = algorithms
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched = -math.inf
        self._tried = -math.inf
        self._failure: ResourceError | ConfigError | None = None
        self._fetching = asyncio.Lock()

    async def verify(
        self, token: str, *, issuer: str, audience: str, types: frozenset[str] = TYPES
    ) -> Mapping[str, Any]:
        """The claims of a token that ``issuer`` signed for ``audience`` alone and that is in force.

        Raises AgentError ``token.malformed``, ``token.signature``, ``token.audience``, ``token.not_yet``,
        ``token.expired``; ResourceError ``provider.unreachable``, ``provider.answer`` when there are no keys to be had.
        """
        found = read(token, self._algorithms)
        if found.type not in types:
            raise malformed()
        if found.claims.get("iss") != issuer or not (await self._key(found)).verifies(found):
            raise unsigned()
        _for(found.claims, audience)
        _in_force(found.claims, self._clock.now() // 1_000_000)
        return found.claims

    async def _key(self, token: Token) -> PublicKey:
        age = self._age(self._fetched)
        if age >= STALE or (age >= FRESH and not self._fetching.locked()):
            await self._refresh(self._fetched)
        fitting = [key for key in self._keys if key.fits(token)]
        if not fitting:
            await self._refresh(self._fetched)
            fitting = [key for key in self._keys if key.fits(token)]
        if len(fitting) != 1:
            raise unsigned()
        return fitting[0]

    async def _refresh(self, seen: float) -> None:
        """Fetch, unless somebody did since the set that was ``seen``, or it is too early to try again."""
        async with self._fetching:
            if self._fetched == seen and self._age(self._tried) >= PAUSE:
                await self._try()
        if self._age(self._fetched) >= STALE:
            raise self._failure.with_traceback(None) if self._failure else unsigned()

    async def _try(self) -> None:
        self._tried = self._clock.monotonic()
        try:
            self._keys = public_keys(await self._load())
            self._fetched, self._failure = self._clock.monotonic(), None
        except (ResourceError, ConfigError) as error:
            self._failure = error
        except ValueError:
            self._failure = ResourceError(
                "the identity provider's keys are not a JWK set of bearable size",
                hint="Ask the operator to look at the provider's keys: their address or file is in tidegate.yaml.",
                code="provider.answer",
            )

    def _age(self, moment: float) -> float:
        return (self._clock.monotonic() - moment) / 1_000_000


def _for(claims: Mapping[str, Any], audience: str) -> None:
    named = claims.get("aud")
    if (named if isinstance(named, list) else [named]) != [audience]:
        raise AgentError(
            "the token is for something else",
            hint="Ask the identity provider for a token whose only audience is this gateway.",
            code="token.audience",
        )


def _in_force(claims: Mapping[str, Any], now: int) -> None:
    ends = number(claims.get("exp"))
    begins = [number(claims[name]) for name in ("nbf", "iat") if name in claims]
    if any(moment > now + LEEWAY for moment in begins):
        raise AgentError("the token is not valid yet", hint="Compare the clocks.", code="token.not_yet")
    if now >= ends:
        raise AgentError(
            "the token has expired", hint="Get a new one from the identity provider.", code="token.expired"
        )


def number(value: object) -> float:
    """A time in a token (RFC 7519 section 2, NumericDate). Raises AgentError ``token.malformed``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise malformed()
    return value


def unusable(issuer: str, why: str) -> ResourceError:
    """What is said of a provider that answers, but not as it should."""
    return ResourceError(
        f"the identity provider {issuer} cannot be used: {why}",
        hint="Ask the operator to look at the provider's entry in tidegate.yaml.",
        code="provider.answer",
    )


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(SIZE + 1)
    except OSError as error:
        raise ConfigError(
            f"the keys cannot be read: {error.strerror}",
            path=str(path),
            code="provider.keys",
            hint="Put the provider's JWK set there.",
        ) from None
    if len(data) > SIZE:
        raise ConfigError(
            f"the keys have more than {SIZE} bytes", path=str(path), code="provider.keys", hint="Is it a JWK set?"
        )
    return data


def unsigned() -> AgentError:
    """What is said of a token that nobody who is trusted has signed, whichever way that was found out."""
    return AgentError(
        "the token was not signed by a provider that is trusted here",
        hint="Get a new one from the identity provider named in tidegate.yaml.",
        code="token.signature",
    )
