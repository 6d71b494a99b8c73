"""application/x-www-form-urlencoded (WHATWG URL, section 5.1): a field is ``$.`` and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, unquote_to_bytes

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

if TYPE_CHECKING:
    from .body import Look

LONGEST: Final = 1024 * 1024
"""Bytes of one pair."""


class FormBody:
    """Pairs, each of which passes when it is whole."""

    def __init__(self, look: Look, scan: Transform | None) -> None:
        self.changed: dict[str, int] = {}
        self._look = look
        self._scan = scan
        self._buffer = b""

    def feed(self, data: bytes) -> bytes:
        """See ``body.Body``."""
        *whole, self._buffer = (self._buffer + data).split(b"&")
        if len(self._buffer) > LONGEST:
            raise ResourceError("a field of the answer is too long", code="resource.malformed")
        return b"".join([self._pair(pair) + b"&" for pair in whole])

    def end(self) -> bytes:
        """See ``body.Body``."""
        rest, self._buffer = self._buffer, b""
        return self._pair(rest)

    def _pair(self, pair: bytes) -> bytes:
        name, sign, value = pair.partition(b"=")
        path = "$." + _plain(name).decode("utf-8", "replace")
        name = self._changed(name, self._scan, path)
        return name + sign + self._changed(value, self._look(path) or self._scan, path)

    def _changed(self, raw: bytes, transform: Transform | None, path: str) -> bytes:
        clear = _plain(raw)
        masked = transform(clear) if transform is not None and clear else clear
        if masked is clear:
            return raw
        self.changed[path] = self.changed.get(path, 0) + 1
        return quote_plus(masked or b"").encode()


def _plain(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))
