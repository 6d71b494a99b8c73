"""The handshake of a WebSocket, the one thing that an HTTP connection may become. Source: RFC 6455 section 4."""

from __future__ import annotations

import base64
import hashlib
import re

from tidegate.errors import ResourceError

from .http_head import Head

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")


def asked(head: Head) -> bytes:
    """What the handshake of a request must be answered with; nothing when it is none that can be read."""
    key = head.get(b"sec-websocket-key") or b""
    well = head.method == b"GET" and head.minor and (head.get(b"upgrade") or b"").lower() == b"websocket"
    if not well or head.get(b"sec-websocket-version") != b"13" or not _KEY.fullmatch(key):
        return b""
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def check(head: Head, accept: bytes, offered: frozenset[bytes]) -> None:
    """The server's side of it; ``accept`` is what it must say. Raises ResourceError for anything nobody asked for."""
    protocols = list(head.members(b"sec-websocket-protocol"))
    if (
        not accept
        or head.get(b"sec-websocket-accept") != accept
        or (head.get(b"upgrade") or b"").lower() != b"websocket"
        or b"upgrade" not in head.tokens(b"connection")
        or head.get(b"sec-websocket-extensions")
        or len(protocols) > 1
        or not offered.issuperset(protocols)
    ):
        raise ResourceError("the server changes to a protocol that nobody asked for", code="resource.desync")
