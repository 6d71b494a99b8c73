"""A Redis command as people type it, and back: the quoting of redis-cli (sdscatrepr and sdssplitargs in its sds.c).

Plain arguments stand as they are, others in double quotes with C's escapes for what cannot be printed. Law:
``parse(written(args)) == args``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tidegate.model.reading import KEYWORD, TEXT, Reading, Span

LONGEST = 64 * 1024
"""Characters of a text that is laid out for people; a longer one is shown plain."""

_PLAIN = re.compile(rb"[!#-&(-\[\]-~]+")
_WORD = re.compile(
    r'[ \t]*(?:("(?:[^"\\]|\\.)*")(?=[ \t]|$)|(\'(?:[^\'\\]|\\.)*\')(?=[ \t]|$)|([^ \t"\'][^ \t"\']*)(?=[ \t]|$))',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b"}
_SIGNS = {value: f"\\{name}" for name, value in _ESCAPES.items()} | {'"': '\\"', "\\": "\\\\"}
_WRITTEN = [_SIGNS.get(chr(byte), chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in range(256)]


def quoted(argument: bytes) -> str:
    """One argument."""
    if _PLAIN.fullmatch(argument):
        return argument.decode("ascii")
    return '"' + "".join([_WRITTEN[byte] for byte in argument]) + '"'


def written(args: Sequence[bytes]) -> str:
    """A command on one line, its name in capitals."""
    return " ".join([quoted(args[0].upper()), *map(quoted, args[1:])]) if args else ""


def parse(text: str) -> list[bytes] | None:
    """The arguments of a line; ``None`` when its quotes do not match."""
    found, place, end = [], 0, len(text.rstrip(" \t"))
    while place < end:
        word = _WORD.match(text, place, end)
        if word is None:
            return None
        double, single, plain = word.groups()
        if double is not None:
            found.append(_ESCAPE.sub(_unescaped, double[1:-1]).encode("latin-1", "replace"))
        elif single is not None:
            found.append(single[1:-1].replace("\\'", "'").encode())
        else:
            found.append(plain.encode())
        place = word.end()
    return found


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] is not None:
        return chr(int(escape[1], 16))
    return _ESCAPES.get(escape[2], escape[2])


def reading(text: str) -> Reading:
    """A command for people to read: its name, and what is in quotes. Never raises."""
    if len(text) > LONGEST:
        return Reading(text)
    spans: list[Span] = []
    place = 0
    while (word := _WORD.match(text, place)) is not None and word.end() > place:
        start = max(word.start(group) for group in (1, 2, 3))
        if not spans and not place:
            spans.append(Span(start, word.end(), KEYWORD))
        elif word[3] is None:
            spans.append(Span(start, word.end(), TEXT))
        place = word.end()
    return Reading(text, tuple(spans))


def redacted(text: str) -> str:
    """A command without any value: its name, a question mark for each argument. Never raises."""
    lines = [parse(line) for line in text.split("\n")] if len(text) <= LONGEST else [None]
    if any(not args or not re.fullmatch(rb"[A-Za-z]+", args[0]) for args in lines):
        return ""
    return "; ".join(" ".join([args[0].decode().upper(), *["?"] * min(len(args) - 1, 20)]) for args in lines if args)
