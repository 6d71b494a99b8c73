"""Posting to somebody else's server: over TLS, within limits, and to no address that only this machine can reach.

The name is looked up once, every address that it has is judged, and the connection goes to one that was judged, so that
a name cannot mean another address a moment later. Refused are this machine (unless the settings name it), the link,
clouds' metadata, multicast and what is reserved, also written as IPv6. No redirects, no proxy and no credentials of the
environment; an answer is read to ``SIZE`` bytes, and all of it takes ``PATIENCE`` seconds at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx2

from tidegate.errors import ConfigError
from tidegate.settings_login import local, public_host

from .channel import Undelivered

SIZE = 64 * 1024
PATIENCE = 10.0

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(each)
    for each in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
"""Where clouds tell a machine its own secrets."""

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; ``after`` are the seconds of its Retry-After (RFC 9110 section 10.2.3), 0 without one."""

    status: int
    body: bytes
    after: float = 0


class Courier:
    """Posts to any address; ``ca`` is a PEM file, or empty. ``internal`` lets in every address."""

    def __init__(self, ca: str = "", *, internal: bool = False) -> None:
        self._ca = ca
        self._internal = internal
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """The answer to a body, whatever its status. Raises Undelivered, ConfigError."""
        if public_host(url) is None:
            raise Undelivered("the address is not one that may be asked")
        trust = await self._trust() if url.startswith("https:") else False
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._post(url, body, headers, trust)
        except TimeoutError:
            raise Undelivered(f"no whole answer in {PATIENCE:g} seconds") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise Undelivered(type(error).__name__) from None

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], trust: ssl.SSLContext | bool) -> Reply:
        parts = urlsplit(url)
        host = parts.hostname or ""
        places = await self._places(host, parts.port or (443 if parts.scheme == "https" else 80))
        # Compressed answers are asked not to come: their size is known only when they are unpacked.
        sent = {"accept-encoding": "identity", **headers, "host": parts.netloc}
        async with httpx2.AsyncClient(
            verify=trust, timeout=PATIENCE, trust_env=False, follow_redirects=False
        ) as client:
            for place in places[:-1]:
                with contextlib.suppress(httpx2.ConnectError):
                    return await _exchanged(client, httpx2.URL(url).copy_with(host=place), sent, body, host)
            return await _exchanged(client, httpx2.URL(url).copy_with(host=places[-1]), sent, body, host)

    async def _places(self, host: str, port: int) -> list[str]:
        """The addresses of a name, best first. Raises Undelivered when one of them may not be asked."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        places = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not places or not all(self._internal or asked(ipaddress.ip_address(each), host) for each in places):
            raise Undelivered("its name has an address of the inside")
        return places

    async def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(trust, self._ca)
        return self._tls


async def _exchanged(
    client: httpx2.AsyncClient, url: httpx2.URL, headers: Mapping[str, str], body: bytes, host: str
) -> Reply:
    """The answer of one address, whose certificate must be for ``host``."""
    extensions = {"sni_hostname": host}
    async with client.stream("POST", url, headers=headers, content=body, extensions=extensions) as answer:
        return Reply(answer.status_code, await _body(answer), _after(answer.headers.get("retry-after", "")))


def asked(address: _Address, host: str) -> bool:
    """Whether what the settings call ``host`` may be at this address."""
    address = _meant(address)
    if address.is_loopback:
        return local(host)
    inside = address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
    return not inside and address not in _METADATA


def _meant(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    # Without its zone: an address of the link stays one whatever the interface.
    return address.ipv4_mapped or address.sixtofour or ipaddress.IPv6Address(int(address))


def trust(ca: str) -> ssl.SSLContext:
    """The authorities of a PEM file, or the system's. Blocks. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            "this is not a readable PEM file of certificates",
            path=ca,
            code="notice.ca",
            hint="See `ca` of the channel.",
        ) from None


async def _body(answer: httpx2.Response) -> bytes:
    body = bytearray()
    async for part in answer.aiter_raw():
        body += part
        if len(body) > SIZE:
            raise Undelivered(f"an answer of more than {SIZE} bytes")
    return bytes(body)


def _after(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        return 0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0
