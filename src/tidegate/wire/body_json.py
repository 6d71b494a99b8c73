"""JSON as it streams (RFC 8259): each leaf is looked up by its path and masked; all else stays the very bytes.

A path is ``$``, ``.name`` for a member and ``[*]`` for an item: ``$.items[*].email``. A masked string is replaced
by its mask, a number or a truth by null; strings and names without a mask are searched. Held are the path, one token,
and a long string only in pieces, so that a document may be of any size.

Invariants: what passes is a prefix of what the whole document gives; a document that is not JSON, or not whole, is an
error before anything of its fault passes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform

from .body_text import Searched

if TYPE_CHECKING:
    from .body import Look

DEPTH: Final = 200
"""Levels of a document."""

LONGEST: Final = 64 * 1024
"""Bytes of a string that is held; of a longer one a mask covers all, and a search goes on in pieces."""

KEPT: Final = 4096
"""Places whose masks are remembered."""

VALUE, FIRST_ITEM, FIRST_NAME, NAME, COLON, NEXT, DONE = range(7)
"""What may come next: a value, a value or ``]``, a name or ``}``, a name, ``:``, ``,`` or an end, nothing."""

_INSIDE = rb'[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'
_STRING = re.compile(b'"' + _INSIDE + b'"')
_INNER = re.compile(_INSIDE)
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+\-]?[0-9]+)?")
_GOES_ON: Final = (b".", b"e", b"E", b"+", b"-")
_IN_NUMBER: Final = (*_GOES_ON, *(b"%d" % digit for digit in range(10)))
_WORDS = (b"true", b"false", b"null")
RECORD: Final = 0x1E
"""The sign that may stand before each document of a sequence (RFC 7464)."""


class _Node:
    """A place in documents: its path, the mask of what stands there, and the places beneath it."""

    __slots__ = ("asked", "item", "mask", "names", "path", "scans")

    def __init__(self, path: str) -> None:
        self.path: Final = path
        self.asked = False
        self.mask: Transform | None = None
        self.scans = False
        self.names: dict[bytes, _Node] = {}
        self.item: _Node | None = None


class JsonBody:
    """One document, or with ``several`` any number of them, one behind the other."""

    def __init__(self, look: Look, scan: Transform | None, *, several: bool = False) -> None:
        self.changed: dict[str, int] = {}
        self._look = look
        self._scan = scan
        self._suspicious: Any = getattr(scan, "suspicious", None)
        self._several = several
        self._buffer = b""
        self._state = VALUE
        self._node = _Node("$")
        self._nodes: list[_Node] = []
        self._arrays: list[bool] = []
        self._places = 0
        self._hot = True
        self._long: _Long | None = None
        self._out: list[bytes] = []
        self._made: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """See ``body.Body``."""
        data = self._buffer + data if self._buffer else data
        self._buffer = data[self._run(data, over=False) :]
        return self._said()

    def end(self) -> bytes:
        """See ``body.Body``."""
        rest = self._buffer
        if self._long is not None or self._run(rest, over=True) < len(rest):
            raise _broken("it ends in the middle")
        if self._state != DONE and not (self._several and self._state == VALUE and not self._arrays):
            raise _broken("it ends in the middle")
        return self._said()

    def _said(self) -> bytes:
        said, self._out = b"".join(self._out), []
        return said

    def _run(self, data: bytes, *, over: bool) -> int:
        """Take in all tokens that are whole; gives where the first that is not begins."""
        # What is found only by searching cannot be in a block that is not suspicious, unless it is written in escapes.
        self._hot = self._suspicious is None or b"\\u" in data or bool(self._suspicious(data))
        at: int = 0
        size: int = len(data)
        kept: int = 0  # what lies between two changes is copied at once
        while at < size:
            if self._long is not None:
                at = kept = self._go_on(data, at, self._long)
                if self._amid():
                    return at
                continue
            byte: int = data[at]
            if byte == 0x20 or byte == 0x0A or byte == 0x0D or byte == 0x09:
                at += 1
                continue
            end: int = self._token(data, at, byte, over)
            if end < 0:
                self._out.append(data[kept:at])
                return self._begin_long(data, at)
            if self._made is not None:
                self._out += (data[kept:at], self._made)
                kept, self._made = end, None
            at = end
        self._out.append(data[kept:])
        return size

    def _amid(self) -> bool:
        """Whether a long string goes on."""
        return self._long is not None

    def _token(self, data: bytes, at: int, byte: int, over: bool) -> int:
        """Read the token at ``at``; gives where it ends, -1 if it is not whole."""
        if byte == 0x22:
            return self._string(data, at)
        if byte == 0x2C and self._state == NEXT:
            self._state = VALUE if self._arrays[-1] else NAME
            return at + 1
        if byte == 0x3A and self._state == COLON:
            self._state = VALUE
            return at + 1
        if byte == 0x7B or byte == 0x5B:
            self._open(byte == 0x5B)
            return at + 1
        if byte == 0x7D or byte == 0x5D:
            self._close(byte == 0x5D)
            return at + 1
        if byte == RECORD and self._several and not self._arrays:
            return at + 1
        return self._scalar(data, at, over)

    # structure

    def _expect_value(self) -> None:
        if self._state == DONE and self._several:
            self._state = VALUE
        if self._state != VALUE and self._state != FIRST_ITEM:
            raise _broken("a value stands where none may")

    def _open(self, array: bool) -> None:
        self._expect_value()
        if len(self._arrays) >= DEPTH:
            raise _broken("it is nested too deeply")
        self._arrays.append(array)
        self._nodes.append(self._node)
        if array:
            if self._node.item is None:
                self._node.item = self._place(f"{self._node.path}[*]")
            self._node = self._node.item
        self._state = FIRST_ITEM if array else FIRST_NAME

    def _close(self, array: bool) -> None:
        first = FIRST_ITEM if array else FIRST_NAME
        if not self._arrays or self._arrays[-1] is not array or (self._state != NEXT and self._state != first):
            raise _broken("it closes what is not open")
        self._arrays.pop()
        self._node = self._nodes.pop()
        self._over()

    def _over(self) -> None:
        """A value is complete."""
        self._state = NEXT if self._arrays else DONE

    def _place(self, path: str) -> _Node:
        self._places += 1
        return _Node(path)

    def _name(self, raw: bytes) -> None:
        above = self._nodes[-1]
        node = above.names.get(raw)
        if node is None:
            name = _decoded(raw).decode("utf-8", "replace")
            node = self._place(f"{above.path}.{name}")
            if self._places > KEPT:  # ever new names: forget all but the way to here
                for each in self._nodes:
                    each.names = {}
                self._places = 0
            above.names[raw] = node
        self._node = node
        if self._scan is not None and self._hot:
            self._replace(raw, self._scan)
        self._state = COLON

    # leaves

    def _string(self, data: bytes, at: int) -> int:
        naming = self._state == NAME or self._state == FIRST_NAME
        if not naming:
            self._expect_value()
        end: int = data.find(b'"', at + 1) + 1
        if end == 0 and len(data) - at <= LONGEST:
            return -1
        raw = data[at:end]
        if end == 0 or b"\\" in raw:
            found = _STRING.match(data, at)
            if found is None:
                _check_string(data, at)
                return -1
            end = found.end()
            raw = data[at:end]
        if naming:
            self._name(raw)
            return end
        mask = self._mask()
        if mask is not None and (self._hot or not self._node.scans):
            self._replace(raw, mask)
        self._over()
        return end

    def _mask(self) -> Transform | None:
        """The mask of the place that the document is at."""
        node = self._node
        if not node.asked:
            node.mask = self._look(node.path)
            node.scans = hasattr(node.mask, "suspicious")
            node.asked = True
        return node.mask

    def _replace(self, raw: bytes, transform: Transform) -> None:
        clear = _decoded(raw)
        masked = transform(clear)
        if masked is not clear:
            self._put(b"null" if masked is None else _encoded(masked))

    def _put(self, made: bytes) -> None:
        self._made = made
        path = self._node.path
        self.changed[path] = self.changed.get(path, 0) + 1

    def _scalar(self, data: bytes, at: int, over: bool) -> int:
        for word in _WORDS:
            if data.startswith(word, at):
                self._expect_value()
                if word != b"null" and self._mask() is not None and not self._node.scans:
                    self._put(b"null")
                self._over()
                return at + len(word)
            if word.startswith(data[at : at + 5]) and not over:
                return -1
        found = _NUMBER.match(data, at)
        end: int = found.end() if found is not None else at
        if (not over and end == len(data)) or (data[end : end + 1] in _GOES_ON and len(data) - end < 3 and not over):
            return -1
        if end == at or data[end : end + 1] in _IN_NUMBER:
            raise _broken("a value is none")
        self._expect_value()
        self._figure(data, at, end)
        self._over()
        return end

    def _figure(self, data: bytes, at: int, end: int) -> None:
        mask = self._mask()
        if mask is None:
            return
        if not self._node.scans:
            self._put(b"null")
        elif self._hot:
            raw = data[at:end]
            masked = mask(raw)
            if masked is not raw:
                self._put(_encoded(masked or b""))

    # what is longer than is held

    def _begin_long(self, data: bytes, at: int) -> int:
        """A token that is not whole yet waits, unless it is a string that is too long to wait for."""
        if data[at] != 0x22 or len(data) - at <= LONGEST:
            return at
        if self._state == NAME or self._state == FIRST_NAME:
            raise _broken("a name is too long")
        self._long = _Long(self._mask())
        self._out.append(self._long.begin(data[at + 1 : at + 1 + 1024]))
        if self._long.hides:
            self.changed[self._node.path] = self.changed.get(self._node.path, 0) + 1
        return at + 1

    def _go_on(self, data: bytes, at: int, long: _Long) -> int:
        """More of a long string; gives where what is known of it ends."""
        inner = _INNER.match(data, at)
        end: int = inner.end() if inner is not None else at
        self._out.append(long.feed(data[at:end]))
        if end == len(data) or (data[end] == 0x5C and len(data) - end < 6):
            return end
        if data[end] != 0x22:
            raise _broken("a string is none")
        self._out.append(long.end())
        if long.found:
            self.changed[self._node.path] = self.changed.get(self._node.path, 0) + long.found
        self._long = None
        self._over()
        return end + 1


class _Long:
    """A string in pieces: replaced whole by its mask, or searched, or passed."""

    def __init__(self, transform: Transform | None) -> None:
        self.hides = transform is not None and not hasattr(transform, "suspicious")
        self._transform = transform
        self._search = Searched(transform) if transform is not None and not self.hides else None

    @property
    def found(self) -> int:
        """How many values were replaced in it."""
        return self._search.found if self._search is not None else 0

    def begin(self, begin: bytes) -> bytes:
        """What it begins with."""
        if not self.hides or self._transform is None:
            return b'"'
        masked = self._transform(begin)
        return b"null" if masked is None else _encoded(masked)

    def feed(self, data: bytes) -> bytes:
        """More of it, as it stands between quotes."""
        if self.hides:
            return b""
        return data if self._search is None else self._search.feed(data)

    def end(self) -> bytes:
        """What it ends with."""
        if self.hides:
            return b""
        return (self._search.end() if self._search is not None else b"") + b'"'


def _check_string(data: bytes, at: int) -> None:
    """Whether a string that is not whole could still become one."""
    inner = _INNER.match(data, at + 1)
    end = inner.end() if inner is not None else at
    rest = data[end : end + 6]
    if rest and not re.fullmatch(rb"\\(?:u[0-9a-fA-F]{0,3})?", rest):
        raise _broken("a string is none")


def _decoded(raw: bytes) -> bytes:
    """What a string stands for, as UTF-8; half a surrogate pair stays an escape."""
    if b"\\" not in raw:
        return raw[1:-1]
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw[1:-1]
    return str(value).encode()


def _encoded(value: bytes) -> bytes:
    return orjson.dumps(value.decode("utf-8", "replace"))


def _broken(why: str) -> ResourceError:
    return ResourceError(
        f"the answer is not the JSON that it should be: {why}",
        hint="What could not be read was not passed on.",
        code="resource.malformed",
    )
