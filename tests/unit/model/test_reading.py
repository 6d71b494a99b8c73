"""Pieces of a text."""

from __future__ import annotations

from tidegate.model.reading import ADDED, NUMBER, REMOVED, Reading, Span, changes


def test_pieces_cover_the_text() -> None:
    """What is between the spans is of no kind, and nothing is left out at the ends."""
    assert list(Reading("ab12cd3", (Span(2, 4, NUMBER), Span(6, 7, NUMBER))).parts()) == [
        ("ab", ""), ("12", NUMBER), ("cd", ""), ("3", NUMBER),
    ]  # fmt: skip
    assert list(Reading("").parts()) == []


def test_lines_that_change() -> None:
    """Added and removed lines are told apart; what names the files is neither."""
    text = "--- a\n+++ b\n@@ -1 +1 @@\n same\n-old\n+new"
    assert list(changes(text).parts()) == [
        ("--- a\n+++ b\n@@ -1 +1 @@\n same\n", ""), ("-old\n", REMOVED), ("+new", ADDED),
    ]  # fmt: skip
