"""Requests for people: the parts told apart, and a form without values that may leave the house.

What is shown has the very words that were sent. What leaves the house keeps the method, the first word of the path
behind ``/api/v1`` and the like, and the names of query parameters that look like names; everything else may be a value,
which nobody can tell from the text alone. Of GraphQL it keeps the kinds of operations and the names of root fields.
"""

from __future__ import annotations

import re

from tidegate.model.reading import KEYWORD, NUMBER, TEXT, Reading, Span

from .http_graphql import asked_by
from .http_values import Unclear

LONGEST = 64 * 1024
"""Characters; a longer text is shown plain."""

_LINE = re.compile(r"([A-Z]+) (/[^?\s]*)(?:\?(\S*))?")
_PREFIX = re.compile(r"api|rest|v[0-9]{1,3}")
_WORD = re.compile(r"[a-z][a-z_-]{0,30}")
_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,30}")
_NUMBER = re.compile(r"/([0-9]+)(?=/|$)")
_VALUE = re.compile(r"(?<==)[^&]+")
_GRAPHQL = re.compile(  # what is not closed ends with the line or the text, so that no sign is looked at twice
    r"(?P<comment>#[^\n]*)|(?P<text>\"\"\".*?(?:\"\"\"|\Z)|\"(?:\\.|[^\"\\\n])*\"?)|(?P<parameter>\$[A-Za-z_]\w*)"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?\b)|(?P<keyword>\b(?:query|mutation|subscription|fragment|on)\b)",
    re.DOTALL,
)


def reading(text: str) -> Reading:
    """``text`` with its parts told apart. Never raises."""
    line, _, below = text.partition("\n")
    found = _LINE.fullmatch(line)
    if found is None or len(text) > LONGEST:
        return Reading(text)
    spans = [Span(0, found.end(1), KEYWORD)]
    spans += [Span(at.start(1), at.end(1), NUMBER) for at in _NUMBER.finditer(line, found.start(2), found.end(2))]
    spans += [Span(at.start(), at.end(), TEXT) for at in _VALUE.finditer(line, found.end(2))]
    start = len(line) + 1
    for at in _GRAPHQL.finditer(below):
        spans.append(Span(start + at.start(), start + at.end(), str(at.lastgroup)))
    return Reading(text, tuple(spans))


def redacted(text: str) -> str:
    """``text`` without values, on one line; empty when it cannot be said so. Never raises."""
    line, _, below = text.partition("\n")
    found = _LINE.fullmatch(line)
    if found is None or len(text) > LONGEST:
        return ""
    names = [part.partition("=")[0] for part in (found[3] or "").split("&") if part]
    query = "&".join(f"{name if _NAME.fullmatch(name) else '?'}=?" for name in names)
    shown = f"{found[1]} {_path(found[2])}" + (f"?{query}" if query else "")
    return shown if not below else f"{shown} {_question(below)}".rstrip()


def _path(path: str) -> str:
    kept, named = [], False
    for segment in path.split("/")[1:]:
        plain = not named and _WORD.fullmatch(segment) is not None
        prefix = not named and _PREFIX.fullmatch(segment) is not None
        kept.append(segment if plain or prefix or not segment else "?")
        named = named or not prefix
    return "/" + "/".join(kept)


def _question(text: str) -> str:
    try:
        asked = asked_by(text)
    except Unclear:
        return ""
    roots = [field for field in asked.fields if field.count(".") == 1]
    return " ".join([*asked.kinds, "{", *(root.partition(".")[2] for root in roots), "}"])
