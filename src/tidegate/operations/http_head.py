"""The head of a request as operations read it: text, one spelling of the path, no credential, nothing of one hop."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tidegate.errors import AgentError

from .http_paths import normalised

DROPPED = frozenset(
    (
        "authorization", "proxy-authorization", "cookie", "connection", "keep-alive", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade",
    )
)  # fmt: skip

_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_STRANGE = re.compile(r"[^\x21-\x7e]")
_KEPT = "%&=+#;/?\\ "
"""Signs that mean something else when they are not encoded."""


@dataclass(frozen=True, slots=True)
class Head:
    """``path`` and ``target`` are normalised; ``headers`` have names in lower case, in order, without those that are
    for one connection only or hold a credential.
    """

    method: str
    target: str
    path: str
    query: str
    host: str
    headers: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> list[str]:
        """The values of a field, in order."""
        return [value for found, value in self.headers if found == name]


def head(method: str, target: str, fields: Iterable[tuple[str, str]] = (), host: str = "") -> Head:
    """The head of a request with a target in origin form. Raises AgentError when that has no single meaning."""
    spelt = normalised(target)
    if spelt is None:
        raise AgentError(
            "servers read this path differently",
            hint="Send a path without dot segments, empty segments, encoded slashes and semicolons, in UTF-8.",
            code="http.path",
        )
    path, _, query = spelt.partition("?")
    lower = ((name.lower(), value) for name, value in fields)
    return Head(method, spelt, path, query, host, tuple(item for item in lower if item[0] not in DROPPED))


def readable(target: str) -> str:
    """A target as people read it: what need not be encoded is not. ``encoded`` makes the same target of it."""
    return _ESCAPES.sub(_shown, target)


def _shown(found: re.Match[str]) -> str:
    try:
        text = unquote_to_bytes(found[0]).decode()
    except UnicodeDecodeError:
        return found[0]
    return "".join(_escape(sign) if sign in _KEPT or not sign.isprintable() else sign for sign in text)


def encoded(text: str) -> str:
    """Text that people read as a target: what no target has is encoded."""
    return _STRANGE.sub(lambda found: _escape(found[0]), text)


def _escape(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode(errors="replace"))
