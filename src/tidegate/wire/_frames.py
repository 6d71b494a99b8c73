"""Message boundaries and cell rewriting for streams of tagged messages: the hot path.

A message is one tag byte, a big-endian length that counts itself (four bytes) and the body. Everything here works on
bytes and ints only, so that the same source can be compiled; nothing here knows what a tag means.
Invariant: bytes outside a replaced span leave exactly as they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from librt.strings import BytesWriter, read_i16_be, read_i32_be, write_i32_be

from tidegate.errors import ResourceError
from tidegate.model.operation import Constant, Transform

HEADER: Final = 5
_pack = Struct(">i").pack
NULL: Final = _pack(-1)


def header(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Tag and claimed length of the message at ``at``."""
    return data[at], (data[at + 1] << 24) | (data[at + 2] << 16) | (data[at + 3] << 8) | data[at + 4]


class Spans:
    """A chunk of bytes in which some spans are replaced and all others pass untouched."""

    __slots__ = ("_data", "_done", "_out")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._done = 0
        self._out: list[bytes] = []

    def replace(self, start: int, end: int, new: bytes) -> None:
        """Put ``new`` where ``start:end`` was; calls come in ascending order."""
        if start > self._done:
            self._out.append(self._data[self._done : start])
        if new:
            self._out.append(new)
        self._done = end

    def finish(self, end: int) -> bytes:
        """Everything up to ``end``; the very object that came in when nothing changed."""
        if not self._out and not self._done:
            return self._data if end == len(self._data) else self._data[:end]
        if end > self._done:
            self._out.append(self._data[self._done : end])
        return self._out[0] if len(self._out) == 1 else b"".join(self._out)


def run(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """End and number of the whole consecutive messages with ``tag`` from ``at`` on."""
    last = len(data) - HEADER
    count = 0
    while at <= last and data[at] == tag:
        length: int = read_i32_be(data, at + 1)
        end = at + 1 + length
        if length < 4 or end > last + HEADER:
            break
        at = end
        count += 1
    return at, count


def bodies(data: bytes) -> bytes:
    """What the messages in ``data`` carry, put together; of the last one perhaps only a part is there."""
    found: list[bytes] = []
    at: int = 0
    while at + HEADER <= len(data):
        end: int = at + 1 + read_i32_be(data, at + 1)
        found.append(data[at + HEADER : end])
        at = end
    return found[0] if len(found) == 1 else b"".join(found)


def rewrite(data: bytes, at: int, end: int, transforms: Sequence[Transform | None], masked: list[int]) -> bytes:
    """The rows in ``at:end`` with each cell passed through its transform; ``masked[k]`` counts changes in column k.

    Raises ResourceError if a row does not have exactly as many well-formed cells as there are transforms.
    """
    try:
        return _Rewriting(data, transforms, masked).rows(at, end)
    except IndexError:
        raise ResourceError("The upstream sent a row that is too short for its columns.") from None


class _Rewriting:
    """Copies rows but for their masked cells; what lies between two changes is copied at once."""

    __slots__ = ("_cells", "_data", "_kept", "_masked", "_out", "_transforms")

    def __init__(self, data: bytes, transforms: Sequence[Transform | None], masked: list[int]) -> None:
        self._data = data
        self._transforms = list(transforms)
        self._cells = [_cell(mask.value) if isinstance(mask, Constant) else b"" for mask in transforms]
        self._masked = masked
        self._out = BytesWriter()
        self._kept: int = 0

    def rows(self, at: int, end: int) -> bytes:
        self._kept = at
        while at < end:
            at = self._row(at)
        self._keep(end)
        return self._out.getvalue()

    def _row(self, at: int) -> int:
        """Take in the row at ``at``; gives where it ends."""
        stop = at + 1 + read_i32_be(self._data, at + 1)
        self._keep(at + 1)
        place: int = len(self._out)
        write_i32_be(self._out, 0)
        self._kept = at + HEADER
        if read_i16_be(self._data, at + HEADER) != len(self._transforms):
            raise ResourceError("The upstream sent a row whose number of columns is not the announced one.")
        at += HEADER + 2
        for column, transform in enumerate(self._transforms):
            start = at + 4
            length: int = read_i32_be(self._data, at)
            if length < -1 or start + length > stop:
                raise ResourceError("The upstream sent a row with a value that reaches beyond it.")
            if transform is not None and length >= 0:
                if self._cells[column]:
                    self._keep(at)
                    self._kept = start + length
                    self._masked[column] += 1
                    self._out.write(self._cells[column])
                else:
                    clear = self._data[start : start + length]
                    value = transform(clear)
                    if value is not clear:
                        self._keep(at)
                        self._kept = start + length
                        self._masked[column] += 1
                        self._write(value)
            at = start + max(length, 0)
        if at != stop:
            raise ResourceError("The upstream sent a row with bytes behind its last column.")
        self._put(place, len(self._out) - place + stop - self._kept)
        return stop

    def _keep(self, end: int) -> None:
        """Copy what was not copied yet up to ``end``."""
        if end > self._kept:
            self._out.write(self._data[self._kept : end])
            self._kept = end

    def _write(self, value: bytes | None) -> None:
        """Add a value with its length before it."""
        if value is None:
            self._out.write(NULL)
        else:
            write_i32_be(self._out, len(value))
            self._out.write(value)

    def _put(self, place: int, length: int) -> None:
        """Write a length where there is room for it."""
        for byte in range(4):
            self._out[place + byte] = (length >> (24 - 8 * byte)) & 255


def _cell(value: bytes | None) -> bytes:
    """A value with its length before it."""
    return NULL if value is None else _pack(len(value)) + value
