"""A statement made easy to read: the same words, perhaps on more lines, and what each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

KEYWORD, TEXT, NUMBER, PARAMETER, COMMENT = "keyword", "text", "number", "parameter", "comment"
"""What a word can be; others are names and signs."""

ADDED, REMOVED = "added", "removed"
"""What a line of a difference can be."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` to ``end`` of a text are of a ``kind``."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Reading:
    """``text`` differs from what was sent at most in the white space between words; ``spans`` are in order."""

    text: str
    spans: tuple[Span, ...] = ()

    def parts(self) -> Iterator[tuple[str, str]]:
        """The whole text in pieces, each with its kind, empty for none."""
        place = 0
        for span in self.spans:
            if span.start > place:
                yield self.text[place : span.start], ""
            yield self.text[span.start : span.end], span.kind
            place = span.end
        if place < len(self.text):
            yield self.text[place:], ""


def changes(text: str) -> Reading:
    """A difference between two files, line by line (``diff -u``)."""
    spans: list[Span] = []
    place = 0
    for line in text.splitlines(keepends=True):
        kind = {"+": ADDED, "-": REMOVED}.get(line[:1], "")
        if kind and not line.startswith(("+++", "---")):
            spans.append(Span(place, place + len(line), kind))
        place += len(line)
    return Reading(text, tuple(spans))
