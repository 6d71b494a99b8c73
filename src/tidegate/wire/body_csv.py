"""CSV with a header line (RFC 4180): a field is ``$.`` or ``$[*].`` and the name that its column has there.

Records pass when they are whole. The first is taken for the header and searched only: whoever serves tables without
one must not tag single columns of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

if TYPE_CHECKING:
    from .body import Look

LONGEST: Final = 1024 * 1024
"""Bytes of a record."""

COLUMNS: Final = 4096


class CsvBody:
    """A table; ``separator`` is a comma or a tab."""

    def __init__(self, look: Look, scan: Transform | None, separator: bytes = b",") -> None:
        self.changed: dict[str, int] = {}
        self._look = look
        self._scan = scan
        self._separator = separator
        sign = re.escape(separator)
        self._field = re.compile(
            rb'"((?:[^"]|"")*)"(?=' + sign + rb"|\r?\n|\r|$)|([^" + sign + rb'"\r\n][^' + sign + rb"\r\n]*|)"
        )
        self._buffer = b""
        self._masks: list[Transform | None] | None = None
        self._names: list[str] = []

    def feed(self, data: bytes) -> bytes:
        """See ``body.Body``."""
        self._buffer += data
        end = self._whole(self._buffer)
        if len(self._buffer) - end > LONGEST:
            raise ResourceError("a record of the answer is too long", code="resource.malformed")
        ready, self._buffer = self._buffer[:end], self._buffer[end:]
        return self._records(ready) if ready else b""

    def end(self) -> bytes:
        """See ``body.Body``."""
        rest, self._buffer = self._buffer, b""
        if rest.count(b'"') % 2:
            raise ResourceError("a value of the answer is cut", code="resource.malformed")
        return self._records(rest) if rest else b""

    def _whole(self, data: bytes) -> int:
        """Where the last line break outside of quotes ends."""
        end = data.rfind(b"\n") + 1
        while end and data.count(b'"', 0, end) % 2:
            end = data.rfind(b"\n", 0, end - 1) + 1
        return end

    def _records(self, data: bytes) -> bytes:
        out: list[bytes] = []
        at = 0
        while at < len(data):
            fields, breaks, at = self._record(data, at)
            out.append(self._written(fields, breaks))
        return b"".join(out)

    def _record(self, data: bytes, at: int) -> tuple[list[bytes], bytes, int]:
        """The raw fields of a record, the line break behind it, and where the next begins."""
        fields: list[bytes] = []
        while True:
            found = self._field.match(data, at)
            if found is None or len(fields) >= COLUMNS:
                raise ResourceError("the answer is not the table that it should be", code="resource.malformed")
            fields.append(found[0])
            at = found.end()
            if data[at : at + 1] == self._separator:
                at += 1
                continue
            line = re.compile(rb"\r?\n|$").match(data, at)
            if line is None:
                raise ResourceError("the answer is not the table that it should be", code="resource.malformed")
            return fields, line[0], max(line.end(), at + 1) if line.end() == at else line.end()

    def _written(self, fields: list[bytes], breaks: bytes) -> bytes:
        if self._masks is None:
            self._header(fields)
            shown = [self._searched(field, "$") for field in fields]
        elif fields == [b""]:
            shown = fields
        else:
            shown = [self._masked(at, field) for at, field in enumerate(fields)]
        return self._separator.join(shown) + breaks

    def _header(self, fields: list[bytes]) -> None:
        names = [_plain(field).decode("utf-8", "replace").strip() for field in fields]
        self._names = [f"$.{name}" for name in names]
        self._masks = [self._chosen(name) for name in names]

    def _chosen(self, name: str) -> Transform | None:
        for path in (f"$.{name}", f"$[*].{name}"):
            found = self._look(path)
            if found is not None and not hasattr(found, "suspicious"):
                return found
        return self._scan

    def _masked(self, at: int, raw: bytes) -> bytes:
        assert self._masks is not None
        if at >= len(self._masks):
            # A record with more fields than the header has could be shifted: none of the columns is sure.
            raise ResourceError("a record of the answer has more fields than the header", code="resource.malformed")
        return self._changed(raw, self._masks[at], self._names[at])

    def _searched(self, raw: bytes, path: str) -> bytes:
        return self._changed(raw, self._scan, path)

    def _changed(self, raw: bytes, transform: Transform | None, path: str) -> bytes:
        if transform is None or not raw:
            return raw
        clear = _plain(raw)
        masked = transform(clear)
        if masked is clear:
            return raw
        self.changed[path] = self.changed.get(path, 0) + 1
        return b'"' + masked.replace(b'"', b'""') + b'"' if masked is not None else b""


def _plain(raw: bytes) -> bytes:
    return raw[1:-1].replace(b'""', b'"') if raw[:1] == b'"' else raw
