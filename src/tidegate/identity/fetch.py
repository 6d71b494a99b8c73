"""Fetching from a provider: small documents, over TLS, within limits, and from nowhere but the address asked for.

Invariants: https, or http on loopback only; no redirects, no proxy and no credentials from the environment; a body is
read to ``SIZE`` bytes and an exchange takes ``PATIENCE`` seconds at most, whatever the peer does; what an error says
comes from the address and never from an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from tidegate.errors import ConfigError, ResourceError
from tidegate.settings_login import local

SIZE = 256 * 1024
"""Most bytes of an answer."""

PATIENCE = 5.0
"""Seconds that an exchange may take, from the name's look-up to the last byte."""

_TIMEOUT = httpx2.Timeout(PATIENCE)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes


class Fetch:
    """Speaks with one provider. ``ca`` is a PEM file of the authorities to trust in place of the system's."""

    def __init__(self, ca: str = "") -> None:
        self._ca = ca
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str, *, bearer: str = "") -> bytes:
        """The body of a successful answer. Raises ResourceError ``provider.unreachable``, ConfigError."""
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        answer = await self._ask("GET", url, headers, None)
        if answer.status != httpx2.codes.OK:
            raise _unreachable(url, f"status {answer.status}")
        return answer.body

    async def post(self, url: str, form: Mapping[str, str], *, authorization: str = "") -> Answer:
        """The answer to a form, whatever its status. Raises ResourceError ``provider.unreachable``, ConfigError."""
        headers = {"authorization": authorization} if authorization else {}
        return await self._ask("POST", url, headers, form)

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None) -> Answer:
        trust = await self._trust() if checked(url).startswith("https:") else False
        # Compressed bodies are refused: their size is known only when they are unpacked.
        asked = {"accept": "application/json", "accept-encoding": "identity", **headers}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                httpx2.AsyncClient(verify=trust, timeout=_TIMEOUT, trust_env=False, follow_redirects=False) as client,
                client.stream(method, url, headers=asked, data=form) as answer,
            ):
                return Answer(answer.status_code, await _body(url, answer))
        except TimeoutError:
            raise _unreachable(url, f"no whole answer in {PATIENCE:g} seconds") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise _unreachable(url, type(error).__name__) from None

    async def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(_context, self._ca)
        return self._tls


async def _body(url: str, answer: httpx2.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise _unreachable(url, "a compressed answer")
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > SIZE:
            raise _unreachable(url, f"an answer of more than {SIZE} bytes")
    return bytes(body)


def checked(url: str) -> str:
    """``url`` if it may be asked: https, or http on this machine, no user name, no fragment. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.port != 0 and not (parts.username or parts.password or parts.fragment)
    except ValueError:
        named = False
    if not named or not url.isascii() or any(character <= " " for character in url):
        raise ConfigError("this is not the address of a provider", code="provider.address", hint=_ADDRESS)
    if parts.scheme != "https" and not (parts.scheme == "http" and local(parts.hostname or "")):
        raise ConfigError("a provider is asked over TLS only", code="provider.address", hint=_ADDRESS)
    return url


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError("this is not a readable PEM file of certificates", path=ca, code="provider.ca") from None


_ADDRESS = "Write https://HOST/..., or http://127.0.0.1:PORT/... for one on this machine."


def _unreachable(url: str, why: str) -> ResourceError:
    host = urlsplit(url).hostname or ""
    return ResourceError(
        f"the identity provider at {host} does not answer as it should ({why})",
        hint="Try again; if it lasts, ask the operator to look at the provider's address and certificate.",
        code="provider.unreachable",
    )
