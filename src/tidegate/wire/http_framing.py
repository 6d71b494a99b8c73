"""Where the body of an HTTP/1.1 message ends: after so many bytes, after the last chunk, or with the connection.

Chunks are read strictly: a size is hexadecimal digits alone, lines end in CRLF. Extensions and trailers are dropped
within limits, since nobody that is shown them needs them and readers differ on them. Source: RFC 9112 section 7.1.
"""

from __future__ import annotations

import re
from typing import Protocol

from tidegate.errors import AgentError, ResourceError, TidegateError

LINE = 256
"""Bytes of a chunk's line, extensions and all."""

TRAILERS = 8 * 1024

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class Framing(Protocol):
    """``over``: the body has ended; ``left`` is how many bytes are still to come, -1 when nobody knows."""

    over: bool

    @property
    def left(self) -> int:
        """See above."""

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """What of ``data`` is the body's, and what follows the body."""


class Counted:
    """A body of ``left`` bytes."""

    __slots__ = ("left", "over")

    def __init__(self, length: int) -> None:
        self.left = length
        self.over = not length

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """See ``Framing``."""
        if len(data) < self.left:
            self.left -= len(data)
            return data, b""
        at, self.left, self.over = self.left, 0, True
        return data[:at], data[at:]


class Endless:
    """A body that ends with the connection."""

    __slots__ = ("left", "over")

    def __init__(self) -> None:
        self.left = -1
        self.over = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """See ``Framing``."""
        return data, b""


class Chunked:
    """A body in chunks. ``fault`` is whose fault nonsense is."""

    def __init__(self, fault: type[AgentError | ResourceError]) -> None:
        self._fault = fault
        self._buffer = b""
        self._chunk = 0  # bytes of it, and of the line end behind it, that are still to come
        self._last = False
        self._trailers = 0
        self.left = -1
        self.over = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """See ``Framing``. Raises AgentError or ResourceError."""
        data, self._buffer = self._buffer + data, b""
        parts, at = [], 0
        while not self.over and at < len(data):
            if self._chunk > 2:
                part = data[at : at + self._chunk - 2]
                parts.append(part)
                self._chunk -= len(part)
                at += len(part)
                continue
            if self._chunk and len(data) - at < 2:
                break
            if self._chunk:
                if data[at : at + 2] != b"\r\n":
                    raise self._wrong("a chunk is longer than it says")
                at, self._chunk = at + 2, 0
                continue
            end = self._line(data, at)
            if end < 0:
                break
            self._take_line(data[at:end])
            at = end + 2
        if self.over:
            return b"".join(parts), data[at:]
        self._buffer = data[at:]
        return parts[0] if len(parts) == 1 else b"".join(parts), b""

    def _line(self, data: bytes, at: int) -> int:
        """Where the line at ``at`` ends, -1 if that is still to come."""
        limit = TRAILERS if self._last else LINE
        end = data.find(b"\n", at, at + limit) - 1
        if end >= at and data[end] == 0x0D:
            return end
        if end >= at - 1 or len(data) - at >= limit:
            raise self._wrong("a chunk's line is too long, or does not end as lines do")
        return -1

    def _take_line(self, line: bytes) -> None:
        if self._last:
            self._trailers += len(line) + 2
            self.over = not line
            if line and (self._trailers > TRAILERS or not _FIELD.fullmatch(line)):
                raise self._wrong("what follows the last chunk is no field, or too much")
            return
        found = _SIZE.fullmatch(line)
        if found is None:
            raise self._wrong("a chunk does not say its size")
        size = int(found[1], 16)
        self._last = not size
        self._chunk = size + 2 if size else 0

    def _wrong(self, words: str) -> TidegateError:
        if self._fault is AgentError:
            return AgentError(f"the body of the request: {words}", hint="Check the client.", code="http.malformed")
        return ResourceError(f"the server's answer: {words}", code="resource.desync")


def chunk(data: bytes) -> bytes:
    """A chunk with this data; nothing for no data, which would be the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST = b"0\r\n\r\n"
"""The last chunk."""
