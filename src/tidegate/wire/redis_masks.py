"""Masks in a whole reply: which field each value is of, by the command's plan, and what stands in its place.

RESP2 gives flat what RESP3 nests or maps; both are read. A string becomes the mask as a bulk string, a number becomes
null, so that every decoder goes on. Invariant: a value whose field cannot be told is asked for as untraced.
"""

from __future__ import annotations

from typing import Final

from tidegate.model.operation import Operation, Results, Shape, Transform
from tidegate.model.resource import Field

from ._frames import Spans
from .redis_exchange import Plan
from .redis_frames import (
    AGGREGATES,
    BLOB_ERROR,
    BULK,
    CRLF,
    ERROR,
    MAP,
    NULL,
    SIMPLE,
    STRINGS,
    VERBATIM,
    bulk,
    garbled,
    items,
    number,
)  # fmt: skip

STATUS: Final = frozenset({b"OK", b"QUEUED", b"PONG", b"none", b"string", b"list", b"set", b"zset", b"hash", b"stream"})
"""Simple strings that are the server's own words."""

VALUE, SCORE, NAME, EVERY = "value", "score", "name", "*"

TEXT: Final = Shape.TEXT
OTHER: Final = Shape.OTHER
UNTRACED: Final = Field("", "")


class Masks:
    """Rewrites one reply; ``protocol`` is 2 or 3, ``concealing`` whether errors in it are reduced."""

    def __init__(self, operation: Operation, plan: Plan, results: Results, protocol: int) -> None:
        self._operation = operation
        self._plan = plan
        self._results = results
        self._nothing = b"_\r\n" if protocol == 3 else b"$-1\r\n"
        self._kept: dict[tuple[Field, bool], Transform | None] = {}
        self._counts: dict[Field, int] = {}
        self._data = b""
        self._spans: Spans
        self._concealing = results.conceal(operation)

    def reply(self, data: bytes) -> bytes:
        """The reply with its masks; the very object when nothing was masked. Raises ResourceError."""
        self._data, self._spans = data, Spans(data)
        if self._top(0) != len(data):
            raise garbled("it has another shape than its type says")
        for field, count in self._counts.items():
            self._results.replaced(self._operation, None if field is UNTRACED else field, count)
        return self._spans.finish(len(data)) if self._counts else data

    # shapes

    def _top(self, at: int) -> int:
        kind, count, inner = self._head(at)
        if self._plan.cursor and kind != MAP and count >= 2:
            at = self._skip(inner)
            at = self._shaped(at)
            for _ in range(count - 2):
                at = self._skip(at)  # XAUTOCLAIM: IDs of entries that are no more
            return at
        return self._shaped(at)

    def _shaped(self, at: int) -> int:
        plan = self._plan
        key = plan.keys[0] if plan.keys else ""
        match plan.kind.name if plan.keys else "UNTRACED":
            case "NONE":
                return self._skip(at)
            case "VALUE":
                return self._all(at, Field(key, plan.fields[0] if plan.fields else VALUE))
            case "NAMES":
                return self._all(at, Field(key, NAME))
            case "EACH":
                return self._each(at, [Field(each, VALUE) for each in plan.keys])
            case "FIELDS":
                return self._each(at, [Field(key, name) for name in plan.fields])
            case "PAIRS":
                return self._pairs(at, key)
            case "SCORED":
                return self._scored(at, key)
            case "ENTRIES":
                return self._entries(at, key)
            case "STREAMS":
                return self._streams(at)
            case "POPPED":
                return self._popped(at)
            case _:
                return self._all(at, self._whole(key))

    def _whole(self, key: str) -> Field:
        """What stands for any field of any key of the command."""
        return Field(key, EVERY) if self._plan.kind.name == "WHOLE" and not self._concealing else UNTRACED

    def _each(self, at: int, fields: list[Field]) -> int:
        """The n-th item is of the n-th field."""
        _, count, inner = self._head(at)
        if count < 0:
            return self._all(at, fields[0] if len(fields) == 1 else UNTRACED)
        at = inner
        for place in range(count):
            at = self._all(at, fields[place] if count == len(fields) else UNTRACED)
        return at

    def _pairs(self, at: int, key: str) -> int:
        """Names and values: in turn, as a map, or in pairs."""
        kind, count, inner = self._head(at)
        if count < 0:
            return self._all(at, UNTRACED)
        if count and kind != MAP and self._head(inner)[1] >= 0:
            at = inner
            for _ in range(count):
                at = self._pairs(at, key)
            return at
        if count % 2:
            return self._all(at, UNTRACED)
        at = inner
        for _ in range(count // 2):
            name = self._text(at)
            at = self._all(at, Field(key, NAME))
            at = self._all(at, Field(key, name) if name is not None else UNTRACED)
        return at

    def _scored(self, at: int, key: str) -> int:
        """Members and scores: in turn or in pairs."""
        _, count, inner = self._head(at)
        if count < 0:
            return self._all(at, Field(key, VALUE))
        if count and self._head(inner)[1] >= 0:
            at = inner
            for _ in range(count):
                at = self._scored(at, key)
            return at
        at = inner
        for place in range(count):
            at = self._all(at, Field(key, SCORE if place % 2 else VALUE))
        return at

    def _entries(self, at: int, key: str) -> int:
        """Entries of a stream: each an ID and the pairs of its fields."""
        _, count, inner = self._head(at)
        if count < 0:
            return self._all(at, UNTRACED)
        at = inner
        for _ in range(count):
            _, parts, inside = self._head(at)
            if parts < 0:
                at = self._all(at, UNTRACED)
                continue
            at = self._skip(inside) if parts else inside
            for _ in range(parts - 1):
                at = self._pairs(at, key)
        return at

    def _streams(self, at: int) -> int:
        """Keys, each with its entries: a map, or pairs."""
        kind, count, inner = self._head(at)
        if count < 0:
            return self._all(at, UNTRACED)
        at = inner
        for _ in range(count // 2 if kind == MAP else count):
            if kind != MAP:
                _, parts, at = self._head(at)
                if parts != 2:
                    raise garbled("a stream has no entries")
            key = self._object(at)
            at = self._entries(self._skip(at), key)
        return at

    def _popped(self, at: int) -> int:
        """A key, then values; for sorted sets with scores, in turn or in pairs."""
        _, count, inner = self._head(at)
        if count < 2:
            return self._all(at, UNTRACED)
        key, at = self._object(inner), self._skip(inner)
        if count == 2:
            return self._popped_values(at, key)
        for place in range(count - 1):
            at = self._all(at, Field(key, SCORE if place % 2 else VALUE))
        return at

    def _popped_values(self, at: int, key: str) -> int:
        _, count, inner = self._head(at)
        if count < 0:
            return self._all(at, Field(key, VALUE))
        at = inner
        for _ in range(count):
            at = self._scored(at, key)
        return at

    def _object(self, at: int) -> str:
        """The object that a key in the reply is."""
        name = self._text(at)
        found = f"{self._plan.keys[0].partition('/')[0]}/{name}"
        if name is None or found not in self._plan.keys:
            raise garbled("it speaks of a key that was not asked for")
        return found

    # values

    def _skip(self, at: int) -> int:
        """Pass over one value."""
        left = 1
        while left:
            _, count, at = self._head(at)
            left += max(count, 0) - 1
            if count == -2:
                at = self._end
        return at

    def _all(self, at: int, field: Field) -> int:
        """Every leaf of one value is of this field."""
        left = 1
        while left:
            kind, count, inner = self._head(at)
            left += max(count, 0) - 1
            if count >= 0:
                at = inner
            else:
                self._leaf(kind, at, inner, field)
                at = self._end
        return at

    def _leaf(self, kind: int, at: int, start: int, field: Field) -> None:
        end = self._end
        data = self._data
        if kind == NULL or kind in AGGREGATES or (kind == BULK and start == end):
            return  # null, in whichever spelling
        if kind in (BULK, VERBATIM):
            clear, shape = data[start : end - 2], TEXT
            if kind == VERBATIM:
                clear = clear[4:]
        elif kind in (ERROR, BLOB_ERROR):
            if self._concealing:
                self._spans.replace(at, end, WITHHELD)
                self._counts[field] = self._counts.get(field, 0) + 1
            return
        else:
            clear = data[at + 1 : end - 2]
            shape = TEXT if kind == SIMPLE else OTHER
            if kind == SIMPLE and clear in STATUS:
                return
        mask = self._mask(field, shape)
        if mask is None:
            return
        shown = mask(clear)
        if shown is None:
            self._spans.replace(at, end, self._nothing)
        elif shown != clear:
            self._spans.replace(at, end, bulk(shown))
        else:
            return
        self._counts[field] = self._counts.get(field, 0) + 1

    def _mask(self, field: Field, shape: Shape) -> Transform | None:
        key = (field, shape is TEXT)
        if key not in self._kept:
            asked = None if field is UNTRACED else field
            self._kept[key] = self._results.value(self._operation, asked, shape)
        return self._kept[key]

    # bytes

    def _head(self, at: int) -> tuple[int, int, int]:
        """Type, number of items (below zero for a leaf) and where the content begins; ``_end`` is where a leaf ends."""
        data = self._data
        stop = data.find(CRLF, at)
        if stop < 0 or at >= stop:
            raise garbled("it ends too early")
        kind, inner = data[at], stop + 2
        self._end = inner
        if kind in AGGREGATES:
            return kind, items(data, at, stop), inner
        if kind in STRINGS:
            length = number(data, at + 1, stop)
            if length >= 0:
                self._end = inner + length + 2
        return kind, -2, inner

    def _text(self, at: int) -> str | None:
        """A name as objects and fields have it (``operations.redis_replies.text``); None if there is none."""
        kind, count, inner = self._head(at)
        if count != -2:
            return None
        return name(self._data[inner : self._end - 2] if kind == BULK else self._data[at + 1 : self._end - 2])


WITHHELD: Final = b"-ERR the text is withheld, because it could show a masked value\r\n"


def name(raw: bytes) -> str:
    """A key or field as text; bytes that are not UTF-8 are escaped, so that no two names are one."""
    try:
        return raw.decode() if b"\\" not in raw else raw.decode().replace("\\", "\\\\")
    except UnicodeDecodeError:
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
