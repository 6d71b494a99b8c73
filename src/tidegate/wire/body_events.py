"""Server-sent events (WHATWG HTML, section 9.2): each passes at once when it is whole, with its data masked.

Data that begins like JSON is read as JSON; other data, names, IDs and comments are searched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

from .body_json import JsonBody
from .body_text import WHOLE

if TYPE_CHECKING:
    from .body import Look

LONGEST: Final = 1024 * 1024
"""Bytes of one event."""

_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))+")
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|$)")


class EventBody:
    """A stream of events."""

    def __init__(self, look: Look, scan: Transform | None) -> None:
        self.changed: dict[str, int] = {}
        self._look = look
        self._scan = scan
        self._buffer = b""

    def feed(self, data: bytes) -> bytes:
        """See ``body.Body``."""
        self._buffer += data
        at, out = 0, []
        for end in _END.finditer(self._buffer):
            if end.end() == len(self._buffer) and end[0].endswith(b"\r"):
                break  # a line feed may follow
            out.append(self._event(self._buffer[at : end.end()]))
            at = end.end()
        self._buffer = self._buffer[at:]
        if len(self._buffer) > LONGEST:
            raise ResourceError("an event of the answer is too long", code="resource.malformed")
        return b"".join(out)

    def end(self) -> bytes:
        """See ``body.Body``: what is no whole event is none to its reader either, and still is searched."""
        rest, self._buffer = self._buffer, b""
        return self._event(rest) if rest else b""

    def _event(self, raw: bytes) -> bytes:
        lines = [(line[1], line[2]) for line in _LINE.finditer(raw) if line[0]]
        data = b"\n".join([_value(text) for text, _ in lines if _named(text, b"data")])
        clean = self._data(data) if data else data
        changed = clean is not data
        out: list[bytes] = []
        for text, line in lines:
            if not _named(text, b"data"):
                out.append(self._searched(text) + line)
            elif not changed:
                out.append(text + line)
            elif clean is not None:
                out.append((line or b"\n").join([b"data: " + part for part in clean.split(b"\n")]) + line)
                clean = None
        return b"".join(out)

    def _data(self, data: bytes) -> bytes | None:
        if data.lstrip(b" \t\n")[:1] in (b"{", b"["):
            inner = JsonBody(self._look, self._scan)
            clean = inner.feed(data) + inner.end()
            for path, count in inner.changed.items():
                self.changed[path] = self.changed.get(path, 0) + count
            return clean if inner.changed else data
        whole = self._look(WHOLE)
        return self._changed(data, whole if whole is not None else self._scan)

    def _searched(self, text: bytes) -> bytes:
        return self._changed(text, self._scan) or b""

    def _changed(self, text: bytes, transform: Transform | None) -> bytes | None:
        masked = transform(text) if transform is not None and text else text
        if masked is not text:
            self.changed[WHOLE] = self.changed.get(WHOLE, 0) + 1
            return masked or b""
        return text


def _named(text: bytes, name: bytes) -> bool:
    return text == name or text.startswith(name + b":")


def _value(text: bytes) -> bytes:
    _, _, value = text.partition(b":")
    return value.removeprefix(b" ")
