"""SQL for people to read: words told apart by PostgreSQL's own scanner, and a line for each clause of a long statement.

Nothing but white space between words is ever changed, and that is checked by scanning again: the words must be the
same. A text that the scanner does not read is shown as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.reading import COMMENT, KEYWORD, NUMBER, PARAMETER, TEXT, Reading, Span

LONGEST = 64 * 1024
"""Characters; a longer text is shown plain."""

SHORT = 72
"""Characters that fit a line."""

_KINDS = {
    "SCONST": TEXT, "USCONST": TEXT, "XCONST": TEXT, "BCONST": TEXT,
    "ICONST": NUMBER, "FCONST": NUMBER, "PARAM": PARAMETER,
    "SQL_COMMENT": COMMENT, "C_COMMENT": COMMENT,
}  # fmt: skip
_CLAUSES = frozenset(
    ["FROM", "WHERE", "SET", "VALUES", "GROUP_P", "ORDER", "HAVING", "LIMIT", "OFFSET", "RETURNING", "UNION", "EXCEPT",
     "INTERSECT", "USING"]
)  # fmt: skip
_JOINS = frozenset(["JOIN", "LEFT", "RIGHT", "FULL", "INNER_P", "CROSS", "NATURAL"])
_INNER = frozenset(["AND", "OR"])


@dataclass(frozen=True, slots=True)
class _Word:
    name: str
    start: int
    end: int
    keyword: bool


def reading(text: str) -> Reading:
    """``text``, laid out when it is one long line. Blocks for a moment; never raises."""
    words = _scan(text)
    if not words:
        return Reading(text)
    if "\n" not in text and len(text) > SHORT:
        laid = _laid_out(text, words)
        again = _scan(laid)
        if [_same(laid, word) for word in again] == [_same(text, word) for word in words]:
            text, words = laid, again
    spans = ((word, KEYWORD if word.keyword else _KINDS.get(word.name, "")) for word in words)
    return Reading(text, tuple(Span(word.start, word.end, kind) for word, kind in spans if kind))


def _same(text: str, word: _Word) -> tuple[str, str]:
    return word.name, text[word.start : word.end]


def _scan(text: str) -> list[_Word]:
    """The words of a text with their places in characters; none when it cannot be read."""
    if len(text) > LONGEST or "\0" in text:
        return []
    import postgast  # its classes take long to load, and only people who look need them

    try:
        found = postgast.scan(text)
    except (postgast.PgQueryError, UnicodeError):
        return []
    places = _places(text)
    names, none = postgast.pg_query_pb2.Token.Name, postgast.pg_query_pb2.NO_KEYWORD
    return [
        _Word(names(each.token), places[each.start], places[each.end], each.keyword_kind != none)
        for each in found.tokens
    ]


def _places(text: str) -> Sequence[int]:
    """The character at each byte of the text in UTF-8."""
    if text.isascii():
        return range(len(text) + 1)
    places: list[int] = []
    for index, char in enumerate(text):
        places += [index] * len(char.encode())
    return [*places, len(text)]


def _laid_out(text: str, words: Sequence[_Word]) -> str:
    """A line for each statement, for each clause outside of brackets, and for each condition."""
    parts: list[str] = []
    place, depth, before, between = 0, 0, "", False
    for word in words:
        gap = text[place : word.start]
        fitting = gap.isspace() and depth == 0 and bool(before)
        parts += [(_break(word.name, before, between=between) or gap) if fitting else gap, text[word.start : word.end]]
        depth += {"ASCII_40": 1, "ASCII_41": -1}.get(word.name, 0)
        between = word.name == "BETWEEN" or (between and word.name != "AND")
        place, before = word.end, word.name
    return "".join(parts) + text[place:]


def _break(name: str, before: str, *, between: bool) -> str:
    """What stands before a word in place of a blank, if it begins a line."""
    if before == "ASCII_59":
        return "\n"
    if name in _CLAUSES and before not in ("DELETE_P", "DISTINCT"):
        return "\n"
    if name in _JOINS and before not in (*_JOINS, "OUTER_P"):
        return "\n"
    return "\n  " if name in _INNER and not between else ""
