"""Content codings undone as the bytes come: gzip, deflate, br, zstd, and several in a row (RFC 9110 section 8.4).

A small body may unpack to a huge one on purpose: it is unpacked ``STEP`` bytes at a time, so that nothing large is
held, and one that grows more than ``RATIO`` times beyond ``FREE`` bytes ends with an error.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import brotli
import zstandard

from tidegate.errors import ResourceError

STEP: Final = 64 * 1024
"""Bytes that one step unpacks at most."""

RATIO: Final = 200
FREE: Final = 1024 * 1024
"""How many times a body may grow, and the size up to which nobody counts."""

MOST: Final = 3
"""Codings in a row."""


class Decoder(Protocol):
    """Undoes a coding. Raises ResourceError."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the bytes unpack to, piece by piece."""

    def end(self) -> None:
        """The body is over: it must be whole."""


def decoder(coding: str, *, binary: bool) -> Decoder | None:
    """What undoes ``Content-Encoding: coding``; None for none. Raises ResourceError for one that is not known.

    ``binary``: what is not known may pass as it is.
    """
    names = [name for part in coding.lower().split(",") if (name := part.strip()) and name != "identity"]
    if not names:
        return None
    if len(names) > MOST or any(name not in _MAKERS for name in names):
        if binary:
            return None
        raise ResourceError(
            "the answer is packed in a way that cannot be undone",
            hint="Ask with Accept-Encoding: gzip, br or identity.",
            code="resource.coding",
        )
    return Chain([_MAKERS[name]() for name in reversed(names)])


class Chain:
    """Codings undone one after the other, the last first, with one limit over all of them."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        self._taken += len(data)
        for piece in self._through(data, 0):
            self._given += len(piece)
            if self._given > FREE and self._given > RATIO * self._taken:
                raise ResourceError("the answer unpacks to far more than it is", code="resource.bomb")
            yield piece

    def _through(self, data: bytes, at: int) -> Iterator[bytes]:
        if at == len(self._decoders):
            yield data
            return
        for piece in self._decoders[at].feed(data):
            yield from self._through(piece, at + 1)

    def end(self) -> None:
        """See ``Decoder``."""
        for each in self._decoders:
            each.end()


class Zlib:
    """gzip with any number of members, or deflate with or without zlib's own head (RFC 1950, 1951, 1952)."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._inner = zlib.decompressobj(31 if gzip else 15)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        while data:
            if self._inner.eof:
                if not self._gzip or data[:1] != b"\x1f":
                    raise _broken()
                self._inner, self._begun = zlib.decompressobj(31), False
            piece = self._piece(data)
            self._begun = True
            data = self._inner.unused_data or self._inner.unconsumed_tail
            if piece:
                yield piece

    def _piece(self, data: bytes) -> bytes:
        try:
            return self._inner.decompress(data, STEP)
        except zlib.error:
            if self._gzip or self._begun:
                raise _broken() from None
        self._inner = zlib.decompressobj(-15)  # many servers mean the bare form (RFC 9110 section 8.4.1.2)
        try:
            return self._inner.decompress(data, STEP)
        except zlib.error:
            raise _broken() from None

    def end(self) -> None:
        """See ``Decoder``."""
        if self._begun and not self._inner.eof:
            # What was held back for want of room comes before this, so that nothing can be left but a lost end.
            raise _broken()


class Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        self._begun = self._begun or bool(data)
        if data and self._inner.is_finished():
            raise _broken()
        try:
            piece = self._inner.process(data, output_buffer_limit=STEP)
            while piece:
                yield piece
                if self._inner.can_accept_more_data():
                    return
                piece = self._inner.process(b"", output_buffer_limit=STEP)
        except brotli.error:
            raise _broken() from None

    def end(self) -> None:
        """See ``Decoder``."""
        if self._begun and not self._inner.is_finished():
            raise _broken()


class Zstandard:
    """zstd (RFC 8878), of windows up to 8 MiB as browsers accept them."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        for at in range(0, len(data), 1024):  # a step of a window at most comes out of so little
            self._begun = True
            try:
                piece = self._inner.decompress(data[at : at + 1024])
            except (zstandard.ZstdError, EOFError):
                raise _broken() from None
            if self._inner.unused_data:
                raise _broken()
            if piece:
                yield piece

    def end(self) -> None:
        """See ``Decoder``."""
        if self._begun and not self._inner.eof:
            raise _broken()


_MAKERS: Final[dict[str, Callable[[], Decoder]]] = {
    "gzip": lambda: Zlib(gzip=True),
    "x-gzip": lambda: Zlib(gzip=True),
    "deflate": lambda: Zlib(gzip=False),
    "br": Brotli,
    "zstd": Zstandard,
}


def _broken() -> ResourceError:
    return ResourceError("the answer is not packed as it says, or not whole", code="resource.coding")
