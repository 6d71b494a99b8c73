"""RESP2 and RESP3 on the level of bytes: one agent's command, and where a reply ends, however either is cut.

Why strict: the gateway and the server must find the same boundaries, so a length has no sign, no space and no zero
before it, and what the server would repair or skip is refused. A command is an array of bulk strings, or one line.
Source: redis.io, "Redis serialization protocol specification"; networking.c and sds.c (sdssplitargs) of Redis 7.
"""

from __future__ import annotations

from typing import Final

from tidegate.errors import AgentError, ResourceError

CRLF: Final = b"\r\n"
LINE: Final = 64 * 1024
"""Bytes of a line at most: an inline command, an error, a number."""

ARGUMENTS: Final = 1 << 20
DEPTH: Final = 32
"""Levels of nesting in a reply; the server's own replies have at most seven."""

LONGEST: Final = 512 * 1024 * 1024
"""Bytes of one string: the server's own limit (proto-max-bulk-len)."""

MOST: Final = 1 << 40
"""The most bytes that any number here may speak of."""

ARRAY: Final = 42  # *
BULK: Final = 36  # $
SIMPLE: Final = 43  # +
ERROR: Final = 45  # -
INTEGER: Final = 58  # :
NULL: Final = 95  # _
DOUBLE: Final = 44  # ,
BOOLEAN: Final = 35  # #
BIG: Final = 40  # (
BLOB_ERROR: Final = 33  # !
VERBATIM: Final = 61  # =
MAP: Final = 37  # %
SET: Final = 126  # ~
PUSH: Final = 62  # >

SCALARS: Final = b"+-:_,#("
STRINGS: Final = b"$!="
AGGREGATES: Final = b"*%~>"


def bulk(value: bytes) -> bytes:
    """A bulk string."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def encoded(args: list[bytes]) -> bytes:
    """A command as an array of bulk strings."""
    return b"*%d\r\n" % len(args) + b"".join(map(bulk, args))


def number(data: bytes, at: int, stop: int) -> int:
    """The number in ``at:stop`` in its only spelling; -1 is one, and -2 stands for what is none."""
    size = stop - at
    if size == 1 and 48 <= data[at] <= 57:
        return data[at] - 48
    if size < 1 or size > 12:
        return -2
    said = data[at:stop]
    if said == b"-1":
        return -1
    if not said.isdigit() or said[0] == 48:
        return -2
    return int(said)


class Command:
    """Takes one command apart as its bytes come; offsets count from where the command begins.

    ``oversized`` is the index of an argument with which the command is longer than the limit, -1 if it is not;
    ``length`` then is that argument's.
    """

    __slots__ = ("_at", "_count", "_limit", "args", "length", "oversized")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._at = 0
        self._count = -1
        self.args: list[bytes] = []
        self.oversized = -1
        self.length = 0

    @property
    def at(self) -> int:
        """Where the next argument's header, or with ``oversized`` its first byte, is expected."""
        return self._at

    @property
    def remaining(self) -> int:
        """Arguments still to come, an oversized one included."""
        return self._count - len(self.args)

    def take(self, data: bytes, start: int) -> int:
        """Go on with what is there; gives where the command ends, or -1 when that is not known yet. Raises AgentError.

        With ``oversized`` it has stopped for good.
        """
        end = len(data)
        at = start + self._at
        if self._count < 0:
            stop = _line(data, at)
            if stop < 0:
                return -1
            self._count = number(data, at + 1, stop)
            if not 0 <= self._count <= ARGUMENTS:
                raise _malformed("invalid multibulk length")
            at = stop + 2
        while len(self.args) < self._count:
            self._at = at - start
            if at >= end:
                return -1
            if data[at] != BULK:
                raise _malformed("expected '$'")
            stop = _line(data, at)
            if stop < 0:
                return -1
            length = number(data, at + 1, stop)
            if not 0 <= length <= LONGEST:
                raise _malformed("invalid bulk length")
            first = stop + 2
            after = first + length
            if after + 2 - start > self._limit:
                self._at, self.length, self.oversized = first - start, length, len(self.args)
                return -1
            if after + 2 > end:
                return -1
            if data[after] != 13 or data[after + 1] != 10:
                raise _malformed("a bulk string does not end where it should")
            self.args.append(data[first:after])
            at = after + 2
        self._at = at - start
        return at


def _line(data: bytes, at: int) -> int:
    """Where the line of a header at ``at`` ends, -1 when its end is still to come. Raises AgentError."""
    stop = data.find(CRLF, at, at + 34)
    if stop < 0 and len(data) - at > 32:
        raise _malformed("too long a length")
    return stop


def _malformed(words: str) -> AgentError:
    return AgentError(f"Protocol error: {words}", hint="Check the driver: it does not speak RESP.")


def inline(data: bytes, at: int) -> tuple[list[bytes], int] | None:
    """The arguments of an inline command and where it ends; None when its line is not whole. Raises AgentError."""
    stop = data.find(b"\n", at, at + LINE)
    if stop < 0:
        if len(data) - at >= LINE:
            raise _malformed("too big inline request")
        return None
    return _words(data[at:stop].removesuffix(b"\r")), stop + 1


_SPACES: Final = b" \t\n\v\f\r"
_ESCAPED: Final = {110: 10, 114: 13, 116: 9, 98: 8, 97: 7}
_HEX: Final = b"0123456789abcdefABCDEF"


def _words(line: bytes) -> list[bytes]:
    """As sdssplitargs: words, "with \\x41 and \\n", 'with \\''; a closing quote ends a word. Raises AgentError."""
    if 0 in line:
        raise _malformed("a NUL byte in an inline request")
    words: list[bytes] = []
    at, end = 0, len(line)
    while True:
        while at < end and line[at] in _SPACES:
            at += 1
        if at == end:
            return words
        word = bytearray()
        while at < end and line[at] not in _SPACES:
            if line[at] in b"\"'":
                at = _quoted(line, at, word)
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


def _quoted(line: bytes, at: int, word: bytearray) -> int:
    """Add what is between the quotes; gives where the word ends."""
    quote, end = line[at], len(line)
    at += 1
    while at < end:
        byte = line[at]
        if byte == quote:
            if at + 1 < end and line[at + 1] not in _SPACES:
                break
            return at + 1
        if byte == 92 and at + 1 < end and quote == 34:
            escape = line[at + 1]
            if escape == 120 and at + 3 < end and line[at + 2] in _HEX and line[at + 3] in _HEX:
                word.append(int(line[at + 2 : at + 4], 16))
                at += 4
                continue
            word.append(_ESCAPED.get(escape, escape))
            at += 2
            continue
        if byte == 92 and line[at : at + 2] == b"\\'":
            byte, at = 39, at + 1
        word.append(byte)
        at += 1
    raise _malformed("unbalanced quotes in request")


class Scanner:
    """Finds the end of one reply, however it is cut; ``leaves`` counts the values in it.

    Attributes and streamed strings and aggregates, which no server sends unless it is asked to debug its protocol, are
    not understood.
    """

    __slots__ = ("_open", "_skip", "done", "leaves")

    def __init__(self) -> None:
        self._open: list[int] = []
        self._skip = 0
        self.done = False
        self.leaves = 0

    def feed(self, data: bytes, at: int) -> int:
        """How far the reply goes in ``data``; what lies behind must be given again with what follows it, unless
        ``done``. Raises ResourceError."""
        end = len(data)
        while not self.done:
            if self._skip:
                if end - at < self._skip:
                    step = max(0, min(end - at, self._skip - 2))
                    self._skip -= step
                    return at + step
                at += self._skip
                self._skip = 0
                if data[at - 2 : at] != CRLF:
                    raise garbled("a string does not end where it should")
                self._close()
                continue
            stop = data.find(CRLF, at, at + LINE)
            if stop < 0:
                if end - at >= LINE:
                    raise garbled("a line is too long")
                return at
            self._head(data, at, stop)
            at = stop + 2
        return at

    def _head(self, data: bytes, at: int, stop: int) -> None:
        kind = data[at] if at < stop else 0
        if kind in STRINGS:
            length = number(data, at + 1, stop)
            if length >= 0:
                if length > LONGEST:
                    raise garbled("a string is too long")
                self._skip = length + 2
                self.leaves += 1
                return
            if length != -1 or kind != BULK:
                raise garbled("a string has an impossible length")
        elif kind in AGGREGATES:
            count = items(data, at, stop)
            if count > 0:
                if len(self._open) >= DEPTH or (kind == PUSH and self._open):
                    raise garbled("it is nested too deeply, or something it cannot hold is in it")
                self._open.append(count)
                return
        elif kind in SCALARS:
            if self._open:
                self.leaves += 1
        else:
            raise garbled("its type is not known")
        self._close()

    def _close(self) -> None:
        """A value has ended, and with it perhaps what it is in."""
        levels = self._open
        while levels:
            levels[-1] -= 1
            if levels[-1]:
                return
            levels.pop()
        self.done = True


def items(data: bytes, at: int, stop: int) -> int:
    """How many values an aggregate has, -1 for the null array. Raises ResourceError."""
    count = number(data, at + 1, stop)
    if count < -1 or count > MOST or (count == -1 and data[at] != ARRAY):
        raise garbled("an aggregate has an impossible length")
    return count * 2 if data[at] == MAP else count


def garbled(words: str) -> ResourceError:
    """The upstream does not keep to its protocol."""
    return ResourceError(f"The upstream sent a reply that cannot be read: {words}.", code="resource.garbled")
