"""The gateway's own answers: refusals as problem details (RFC 9457), 202 for what waits for people (RFC 7240), 100."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tidegate.model.verdict import Refuse

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

TYPE = "about:blank"
PENDING = "approval.pending"

_REASONS = {
    200: b"OK", 202: b"Accepted", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 408: b"Request Timeout", 413: b"Content Too Large", 414: b"URI Too Long",
    415: b"Unsupported Media Type", 421: b"Misdirected Request", 426: b"Upgrade Required",
    429: b"Too Many Requests", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}  # fmt: skip

_STATUS = {
    "http.malformed": 400,
    "http.path": 400,
    "http.method": 501,
    "http.version": 505,
    "http.target": 414,
    "http.fields": 431,
    "http.large": 413,
    "http.coding": 415,
    "http.upgrade": 501,
    "http.misdirected": 421,
    "limit.message": 413,
    "limit.buffer": 413,
    "limit.rows": 403,
    "gateway.full": 503,
    "auth.slowed": 429,
    "resource.unreachable": 502,
    "resource.slow": 504,
    "operation.too_long": 504,
    "gateway.stopped": 503,
    "approval.moot": 409,
    "approval.unknown": 404,
}
"""By code; then by what the code begins with."""

_KINDS = (
    ("token.", 401), ("auth.", 401), ("identity.", 401), ("agent.malformed", 400), ("agent.", 400),
    ("resource.unknown", 401), ("resource.", 502), ("audit.", 503), ("gateway.", 503), ("log.", 503), ("config.", 502),
    ("session.surprise", 500), ("session.", 403),
)  # fmt: skip

CHALLENGE = b'WWW-Authenticate: Bearer realm="tidegate"\r\nWWW-Authenticate: Basic realm="tidegate"\r\n'


def status(code: str) -> int:
    """The HTTP status for an error of this code."""
    found = _STATUS.get(code)
    return found or next((number for prefix, number in _KINDS if code.startswith(prefix)), 403)


def line(number: int) -> bytes:
    """A status line of the gateway's own."""
    return b"HTTP/1.1 %d %b\r\n" % (number, _REASONS.get(number, b""))


def problem(
    refusal: Refuse, *, close: bool, body: bool = True, fields: Sequence[bytes] = (), href: str = "", number: int = 0
) -> bytes:
    """A refusal; ``body`` is False in answer to HEAD, ``href`` where to look how it stands. ``number``: a status of
    another's."""
    number = number or status(refusal.code)
    return _answer(number, refusal, close=close, body=body, fields=fields, href=href)


def accepted(refusal: Refuse, *, close: bool, body: bool = True, href: str = "") -> bytes:
    """It waits for people: 202 with where to look how that stands (RFC 7240 section 4.1)."""
    fields = [b"Preference-Applied: respond-async\r\n"]
    if href:
        fields.append(b"Location: " + href.encode() + b"\r\n")
    return _answer(202, refusal, close=close, body=body, fields=fields, href=href)


def _answer(
    number: int, refusal: Refuse, *, close: bool, body: bool, fields: Sequence[bytes] = (), href: str = ""
) -> bytes:
    members = {
        "type": TYPE,
        "title": _REASONS.get(number, b"").decode(),
        "status": number,
        "detail": refusal.reason,
        "code": refusal.code,
        "rule": refusal.rule,
        "hint": refusal.hint,
        "request": refusal.request,
        "approval": href,
    }
    challenge = [CHALLENGE] if number == 401 else []
    ending = [b"Connection: close\r\n"] if close else []
    said = orjson.dumps({name: value for name, value in members.items() if value})
    return content(number, b"application/problem+json", said, [*fields, *challenge, *ending], shown=body)


def content(number: int, kind: bytes, data: bytes, fields: Sequence[bytes] = (), *, shown: bool = True) -> bytes:
    """An answer of the gateway's own; ``shown`` is False in answer to HEAD."""
    said = b"Content-Type: %b\r\nContent-Length: %d\r\nCache-Control: no-store\r\n" % (kind, len(data))
    return line(number) + said + b"".join(fields) + b"\r\n" + (data if shown else b"")
