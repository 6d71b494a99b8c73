"""Message boundaries and cell rewriting for streams of tagged messages: the hot path.

A message is one tag byte, a big-endian length that counts itself (four bytes) and the body. Everything here works on
bytes and ints only, so that the same source can be compiled; nothing here knows what a tag means.
Invariant: bytes outside a replaced span leave exactly as they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

HEADER = 5
_header = Struct(">BI").unpack_from
_count = Struct(">h").unpack_from
_length = Struct(">i").unpack_from
_pack = Struct(">i").pack
NULL = _pack(-1)


def header(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Tag and claimed length of the message at ``at``."""
    tag, length = _header(data, at)
    return tag, length


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
            return self._data[:end]
        self._out.append(self._data[self._done : end])
        return b"".join(self._out)


def run(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """End and number of the whole consecutive messages with ``tag`` from ``at`` on."""
    last = len(data) - HEADER
    count = 0
    while at <= last:
        found, length = _header(data, at)
        end = at + 1 + length
        if found != tag or length < 4 or end > last + HEADER:
            break
        at = end
        count += 1
    return at, count


def rewrite(data: bytes, at: int, end: int, transforms: Sequence[Transform | None], masked: list[int]) -> bytes:
    """The rows in ``at:end`` with each cell passed through its transform; ``masked[k]`` counts column k's values.

    Raises ResourceError if a row does not have exactly as many well-formed cells as there are transforms.
    """
    out: list[bytes] = []
    try:
        while at < end:
            tag, length = _header(data, at)
            stop = at + 1 + length
            row = _cells(data, at + HEADER, stop, transforms, masked)
            out += (bytes((tag,)), _pack(len(row) + 4), row)
            at = stop
    except error:
        raise ResourceError("The upstream sent a row that is too short for its columns.") from None
    return b"".join(out)


def _cells(data: bytes, at: int, stop: int, transforms: Sequence[Transform | None], masked: list[int]) -> bytes:
    if _count(data, at)[0] != len(transforms):
        raise ResourceError("The upstream sent a row whose number of columns is not the announced one.")
    kept = at
    at += 2
    out: list[bytes] = []
    for column, transform in enumerate(transforms):
        length = _length(data, at)[0]
        start = at + 4
        if length < -1 or start + length > stop:
            raise ResourceError("The upstream sent a row with a value that reaches beyond it.")
        if transform is not None and length >= 0:
            masked[column] += 1
            value = transform(data[start : start + length])
            out += (data[kept:at], NULL if value is None else _pack(len(value)) + value)
            kept = start + length
        at = start + max(length, 0)
    if at != stop:
        raise ResourceError("The upstream sent a row with bytes behind its last column.")
    out.append(data[kept:stop])
    return b"".join(out)
