"""How a held request stands, for its agent: the address that 202 gives (RFC 7240), at the gateway, with the same token.

Nothing of it reaches the upstream. Whoever asks gets a session, because that is how a token is looked at; it ends with
the answer.
"""

from __future__ import annotations

import re

import orjson

from tidegate.enforcement.door import Door
from tidegate.enforcement.session import Session
from tidegate.errors import AgentError
from tidegate.wire.http_credential import redacted
from tidegate.wire.http_head import Head
from tidegate.wire.http_problem import content
from tidegate.wire.http_requests import preferences

PLACE = "/.well-known/tidegate/approvals/"

_TARGET = re.compile(PLACE.encode() + rb"([A-Za-z0-9_]{1,64})")


def asks(target: bytes) -> bool:
    """Whether a target is of this kind, and none of the upstream's."""
    return target.startswith(PLACE.encode())


async def answer(door: Door, session: Session, head: Head, raw: bytes, target: bytes, secret: str) -> bytes:
    """The answer to a request for it. Raises AgentError, Refused."""
    found = _TARGET.fullmatch(target)
    if found is None or head.method != b"GET" or head.get(b"content-length") or head.get(b"transfer-encoding"):
        raise AgentError("this asks for no approval", hint="GET the address as it was given.", code="http.malformed")
    wait = preferences(head)[0] or 0
    held = await door.approval(session, found[1].decode(), min(float(wait), door.limits.handshake / 2))
    body = orjson.dumps(
        {
            "approval": held.id,
            "state": held.state,
            "rule": held.question.rule,
            "expires": held.expires // 1_000_000,
            "hint": "Send exactly the same request again: it then runs once." if held.state == "approved" else "",
        }
    )
    said = content(200, b"application/json", body)
    session.trail.request(redacted(raw, secret), b"")
    session.trail.response(b"", said)
    return said
