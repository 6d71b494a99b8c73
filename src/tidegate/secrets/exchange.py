"""One question to a server of Vault's API, and its answer.

Invariants: nothing is followed (a redirect could take the token elsewhere), no proxy of the environment is used, an
answer has at most ``LARGEST`` bytes and comes within ``PATIENCE`` seconds, and no error repeats anything that the
server said, since that may be a secret. Source: OpenBao and HashiCorp Vault, "HTTP API".
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidegate.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    import httpx2

PATIENCE = 4.0
"""Seconds for one question, the connection included: less than half of a handshake."""

LARGEST = 1024 * 1024
"""Bytes of an answer."""

PARALLEL = 16
"""Connections at a time."""

DOWN = "secret.unavailable"


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` of HTTP (2xx, or 400, 403, 404) and the JSON object that came with it."""

    status: int
    body: Mapping[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 300

    def part(self, name: str) -> Mapping[str, Any]:
        """An object inside, empty when there is none."""
        value = self.body.get(name)
        return value if isinstance(value, dict) else {}


class Exchange:
    """Connections to the server at ``address``; event loop only. Raises ConfigError when ``ca`` cannot be read."""

    def __init__(self, address: str, *, ca: str = "", namespace: str = "") -> None:
        import httpx2

        headers = {
            "X-Vault-Request": "true",
            "Accept-Encoding": "identity",
            **({"X-Vault-Namespace": namespace} if namespace else {}),
        }
        self._http = httpx2.AsyncClient(
            base_url=f"{address}/v1/",
            headers=headers,
            verify=_trust(ca) if address.startswith("https:") else False,
            timeout=PATIENCE,
            trust_env=False,
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=PARALLEL, max_keepalive_connections=4, keepalive_expiry=30),
        )

    async def ask(self, method: str, path: str, token: str = "", body: Mapping[str, object] | None = None) -> Answer:
        """The answer. Raises ResourceError ``secret.unavailable`` when there is none that can be used."""
        import httpx2

        headers = {"X-Vault-Token": token} if token else {}
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._http.stream(method, path, headers=headers, json=body) as answer,
            ):
                return _read(answer.status_code, await _limited(answer))
        except (httpx2.HTTPError, TimeoutError, UnicodeError, RuntimeError):
            raise ResourceError(
                "Vault does not answer.", hint="Ask an operator; nothing was executed.", code=DOWN
            ) from None

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()


async def _limited(answer: httpx2.Response) -> bytes:
    data = bytearray()
    async for chunk in answer.aiter_raw():  # never unpacked: a small answer cannot become a large one
        data += chunk
        if len(data) > LARGEST:
            raise unusable()
    return bytes(data)


def _read(status: int, data: bytes) -> Answer:
    if status not in (200, 204, 400, 403, 404):
        raise unusable()  # 3xx: another node; 429: too much; 5xx: sealed, standby or broken
    try:
        body = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        raise unusable() from None
    return Answer(status, body if isinstance(body, dict) else {})


def unusable() -> ResourceError:
    """The error for an answer that cannot be used."""
    return ResourceError(
        "Vault gives no usable answer: it may be sealed, a standby, or overloaded.",
        hint="Ask an operator; nothing was executed.",
        code=DOWN,
    )


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError):
        raise ConfigError("the authorities under `vault` cannot be read", path=ca, hint="Name a PEM file.") from None
