"""Credentials in the heads of requests: the agent's, which ends here, and the upstream's, which begins here.

Invariant: neither is in what is recorded. The agent's token is overwritten where it stands, by as many ``x``; what goes
upstream is shown with the credential overwritten the same way. Source: RFC 9110 section 11, RFC 6750, RFC 7617.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from tidegate.model.secret import Credential

from .http_head import Head

SHORTEST = 8
"""Characters of a token that is looked for wherever it may stand; no real one is shorter."""

_FIELD = re.compile(rb"(?i)(\r\n(?:proxy-)?authorization:[ \t]*(?:(?:bearer|basic)[ \t]+)?)([^\r]*)")


def token(head: Head) -> str:
    """The agent's token, a bearer's or the password of a Basic login; empty when there is none that can be read."""
    written = presented(head)
    scheme, _, rest = written.partition(b" ")
    rest = rest.strip(b" \t")
    if scheme.lower() == b"bearer" and rest.isascii():
        return rest.decode()
    if scheme.lower() != b"basic":
        return ""
    try:
        _, _, password = base64.b64decode(rest, validate=True).partition(b":")
        return password.decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""


def presented(head: Head) -> bytes:
    """What the agent proves itself with, as it is written; empty when there is nothing."""
    first = head.first
    return first.get(b"proxy-authorization") or first.get(b"authorization") or b""


def redacted(head: bytes, secret: str) -> bytes:
    """A request's head as it may be recorded."""
    clean = head.replace(secret.encode(), b"x" * len(secret)) if len(secret) >= SHORTEST else head
    return _FIELD.sub(lambda found: found[1] + b"x" * len(found[2]), clean)


@dataclass(frozen=True, slots=True)
class Login:
    """The upstream's credential as a field of every request; ``shown`` is what the recording has in its place."""

    line: bytes = field(default=b"", repr=False)
    shown: bytes = b""


def login(credential: Credential, name: str) -> Login:
    """What proves the gateway to the upstream; ``name`` is a field that takes the bare secret, such as ``X-Api-Key``.

    Without one it is a bearer token, or Basic when there is a user. Nothing without a secret.
    """
    secret = credential.password.encode()
    if not secret:
        return Login()
    if name:
        return _login(name.encode() + b": ", secret)
    if credential.user:
        return _login(b"Authorization: Basic ", base64.b64encode(credential.user.encode() + b":" + secret))
    return _login(b"Authorization: Bearer ", secret)


def _login(before: bytes, secret: bytes) -> Login:
    return Login(before + secret + b"\r\n", before + b"x" * len(secret) + b"\r\n")
