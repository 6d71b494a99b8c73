"""What every request and response of the API passes: Host check, size limit, security headers.

Written as plain ASGI because it must also hold for what no route matches. The Host check stops DNS rebinding: a page in
a browser that resolves its own name to a loopback address still sends its own name.
"""

from __future__ import annotations

import asyncio
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problem import problem

BODY_LIMIT = 64 * 1024
PATIENCE = 10
"""Seconds that a request may take to arrive: places are few, and who waits must not keep others out."""

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{1,5})?")

# For what does not say otherwise, as pages and their static files do.
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Wraps an ASGI application; ``hosts`` are the names it answers to, without port."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; only HTTP is served."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected scope {scope['type']}")
        guarded = _hardened(send)
        headers = dict(scope["headers"])
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _host(hosts[0]) not in self._hosts:
            await problem(
                421,
                "request.host",
                "This gateway does not answer to the name in the Host header.",
                hint="Use the address it is configured with, or add the name to `api` in tidegate.yaml.",
            )(scope, receive, guarded)
            return
        try:
            async with asyncio.timeout(PATIENCE):
                body = await _body(headers.get(b"content-length", b"0"), receive)
        except TimeoutError:
            await problem(408, "request.slow", f"The request did not arrive in {PATIENCE} seconds.")(
                scope, receive, guarded
            )
            return
        if body is None:
            refusal = problem(413, "request.large", f"A request body may have {BODY_LIMIT} bytes at most.")
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, _again(body, receive), guarded)


async def _body(declared: bytes, receive: Receive) -> bytes | None:
    """The whole body; None as soon as it is known to be beyond the limit, or when the caller is gone."""
    if not declared.isdigit() or int(declared[:20]) > BODY_LIMIT:
        return None
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """A receive that gives ``body`` first, then what comes after it (the disconnect)."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _host(value: bytes) -> str:
    """The name in a Host header, without port; IPv6 literals keep their brackets (RFC 9110 section 7.2).

    Empty for what is not written so: others read the header too, and must not find another name in it.
    """
    found = _HOST.fullmatch(value.decode("latin-1").lower())
    return found[1] if found else ""


def _hardened(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            named = {name.lower() for name, _ in own}
            message = {**message, "headers": own + [each for each in _HEADERS if each[0] not in named]}
        await send(message)

    return wrapped
