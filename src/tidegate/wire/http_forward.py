"""The head that goes upstream, built anew from the one that was read: never the agent's bytes.

What concerns one connection only, what proves the agent, what says who else was on the way, and what would ask the
upstream for something that the gateway does not follow is left out. Bodies are asked for without a coding, so that
they can be searched for the credential and masked. Source: RFC 9110 sections 7.6.1 and 7.6.3, RFC 9112 section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .http_credential import Login
from .http_head import Head, Item

HOP = frozenset(
    (
        b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade",
        b"proxy-authorization", b"proxy-authenticate", b"proxy-authentication-info", b"http2-settings",
    )
)  # fmt: skip
"""Fields of one connection, in either direction."""

LEFT_OUT = HOP | {
    b"host", b"content-length", b"authorization", b"expect", b"accept-encoding", b"forwarded", b"via", b"prefer",
    b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port", b"x-forwarded-prefix",
    b"x-forwarded-server", b"x-real-ip", b"x-original-url", b"x-original-uri", b"x-rewrite-url", b"x-override-url",
    b"sec-websocket-extensions",
}  # fmt: skip
"""Fields of a request that are not the agent's to say upstream."""

OVERRIDES = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))
"""Fields by which servers take another method than the request's."""

OWN_COOKIES = (b"tidegate", b"__host-tidegate")
"""What the names of the gateway's own cookies begin with; a browser sends them to every port of a host."""

RANGES = frozenset((b"range", b"if-range"))


@dataclass(frozen=True, slots=True)
class Ahead:
    """What goes upstream, and what the recording shows of it."""

    data: bytes
    shown: bytes


@dataclass(frozen=True, slots=True)
class Sender:
    """What is the same for every request: the upstream's name, its credential, the field that carries a bare one.

    ``whole``: bodies may be masked, so that parts of them are not asked for. ``overriding``: another method may stand
    in for the request's, and was judged. ``private`` are fields that only the gateway sends.
    """

    host: bytes
    login: Login
    whole: bool
    private: frozenset[bytes] = frozenset()
    overriding: bool = False

    def ahead(self, head: Head, target: bytes, framing: bytes, *, websocket: bool = False) -> Ahead:
        """The head to send; ``framing`` is the field that says how long the body is, or nothing."""
        before = head.method + b" " + target + b" HTTP/1.1\r\nHost: " + self.host + b"\r\n"
        named = head.tokens(b"connection") if head.get(b"connection") else frozenset()
        lines = [
            name + b": " + value + b"\r\n"
            for lower, name, value in _kept(head.fields, lambda lower: self._passes(lower, named))
        ]
        asked = b"" if websocket else b"Accept-Encoding: identity\r\n"
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" if websocket else b""
        after = b"".join(lines) + asked + upgrade + framing + b"Via: 1.1 tidegate\r\n\r\n"
        return Ahead(before + self.login.line + after, before + self.login.shown + after)

    def _passes(self, lower: bytes, named: frozenset[bytes]) -> bool:
        # Many servers read ``X_Y`` and ``X-Y`` as the same field (RFC 3875 section 4.1.18): it is nobody's then.
        dropped = lower in named and not lower.startswith(b"content-")
        if dropped or lower in LEFT_OUT or lower in self.private or b"_" in lower:
            return False
        return not (self.whole and lower in RANGES) and (self.overriding or lower not in OVERRIDES)


def _kept(fields: list[Item], passes: Callable[[bytes], bool]) -> list[Item]:
    kept = []
    for lower, name, value in fields:
        if passes(lower):
            value = cookies(value) if lower == b"cookie" else value
            if value or lower != b"cookie":
                kept.append((lower, name, value))
    return kept


def cookies(value: bytes) -> bytes:
    """A Cookie field without the gateway's own."""
    if b"tidegate" not in value:
        return value
    pairs = (pair.strip(b" \t") for pair in value.split(b";"))
    return b"; ".join(pair for pair in pairs if not pair.lower().startswith(OWN_COOKIES))
