"""The head of an answer as the agent gets it, built anew from the one that was read.

Left out is what concerns one connection, what would make the agent go past the gateway next time (``Alt-Svc``), what
would bind the gateway's own host (``Strict-Transport-Security``), what tells of a body that is not the one it gets,
and the upstream's way of asking for the gateway's credential. Source: RFC 9110 section 7.6.1, RFC 7838, RFC 6797.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.errors import ResourceError

from .http_forward import HOP
from .http_head import Head
from .http_places import Origin

LEFT_OUT = HOP | {
    b"content-length", b"alt-svc", b"strict-transport-security", b"public-key-pins",
    b"public-key-pins-report-only", b"expect-ct", b"clear-site-data", b"x-accel-redirect", b"x-sendfile",
    b"sec-websocket-extensions", b"preference-applied", b"set-cookie2", b"alternates", b"uri", b"nel", b"report-to",
    b"reporting-endpoints", b"http2-settings", b"www-authenticate",
}  # fmt: skip

OF_THE_BODY = frozenset(
    (
        b"content-encoding", b"etag", b"digest", b"content-md5", b"content-digest", b"repr-digest", b"accept-ranges",
        b"content-range", b"last-modified", b"signature", b"signature-input", b"x-goog-hash", b"x-amz-checksum-sha256",
    )
)  # fmt: skip
"""What would be wrong of a body that was changed, or give away what it was."""

Mask = Callable[[str, bytes], bytes]
"""The value of a field as the agent may see it, by the field's name."""

REDIRECTS = frozenset((300, 301, 302, 303, 305, 307, 308))


def shown(head: Head, origin: Origin, target: bytes, *, changed: bool, mask: Mask | None) -> list[bytes]:
    """The lines of the fields that the agent gets. Raises ResourceError for a redirect that leads away.

    ``changed``: the body is not the upstream's own; ``mask`` is asked for every value, where there may be masks.
    """
    named = head.tokens(b"connection") if head.get(b"connection") else frozenset()
    lines = []
    for lower, name, value in head.fields:
        if lower in LEFT_OUT or lower in named or (changed and lower in OF_THE_BODY):
            continue
        passing = _placed(head, origin, target, lower, value)
        if passing is None:
            continue
        if mask is not None:
            passing = mask(lower.decode("ascii"), passing)
        lines.append(name + b": " + passing + b"\r\n")
    return lines


def _placed(head: Head, origin: Origin, target: bytes, lower: bytes, value: bytes) -> bytes | None:
    """The value with its addresses made the gateway's; None when the field is left out."""
    match lower:
        case b"location":
            place = origin.place(value, target)
            if place is None and head.status in REDIRECTS:
                raise ResourceError(
                    "the resource redirects to another origin, where nobody would see what is done",
                    hint="Ask an operator: it may be a resource of its own, or pass by `redirects: pass`.",
                    code="resource.redirect",
                )
            return place
        case b"content-location":
            return origin.place(value, target)
        case b"refresh":
            return origin.refresh(value, target)
        case b"link":
            return origin.links(value, target)
        case b"set-cookie":
            return origin.cookie(value)
        case _:
            return value
