"""Text without fields: passed as it comes, or searched in pieces, with enough kept back that no value is cut in two."""

from __future__ import annotations

from typing import Any, Final

from tidegate.model.operation import Transform

OVERLAP: Final = 4096
"""Bytes of the longest value that is searched for (``masking.detectors.OVERLAP``)."""

PIECE: Final = 64 * 1024
"""Bytes that are searched at once."""

WHOLE: Final = "$"
"""The path of a text that is one value."""


class PlainBody:
    """Passes everything."""

    def __init__(self) -> None:
        self.changed: dict[str, int] = {}

    def feed(self, data: bytes) -> bytes:
        """See ``body.Body``."""
        return data

    def end(self) -> bytes:
        """See ``body.Body``."""
        return b""


class TextBody:
    """Searches text with ``scan``, which gives back the very object when it finds nothing."""

    def __init__(self, scan: Transform) -> None:
        self.changed: dict[str, int] = {}
        self._search = Searched(scan)

    def feed(self, data: bytes) -> bytes:
        """See ``body.Body``."""
        return self._counted(self._search.feed(data))

    def end(self) -> bytes:
        """See ``body.Body``."""
        return self._counted(self._search.end())

    def _counted(self, said: bytes) -> bytes:
        if self._search.found:
            self.changed[WHOLE] = self.changed.get(WHOLE, 0) + self._search.found
            self._search.found = 0
        return said


class Searched:
    """A text of any length, in pieces; ``found`` counts replaced values since somebody set it to 0."""

    def __init__(self, scan: Transform) -> None:
        self._scan = scan
        self._find: Any = getattr(scan, "find", None)
        self._suspicious: Any = getattr(scan, "suspicious", None)
        self._kept = b""
        self.found = 0

    def feed(self, data: bytes) -> bytes:
        """What may pass; the last bytes wait for what follows."""
        self._kept += data
        if len(self._kept) < 2 * OVERLAP:  # so that nothing is searched again for a few bytes more
            return b""
        return self._pass(self._cut(len(self._kept) - OVERLAP))

    def end(self) -> bytes:
        """The rest."""
        return self._pass(len(self._kept))

    def _cut(self, at: int) -> int:
        """The place nearest before ``at`` that lies in no finding."""
        if self._find is None or not self._suspicious(self._kept):
            return at
        for one in self._find(self._kept):
            if one.start < at < one.end:
                return int(one.start)
        return at

    def _pass(self, at: int) -> bytes:
        piece, self._kept = self._kept[:at], self._kept[at:]
        clean = self._scan(piece) or b""
        if clean is not piece:
            self.found += len(self._find(piece)) if self._find is not None else 1
        return clean
