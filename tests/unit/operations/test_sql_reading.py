"""Statements for people to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.operations.sql_reading import _scan, reading

LONG = "update orders set status = 'x' where id between 1 and 9 and customer in (select id from c where a = 1) or b"


def test_a_long_line_gets_a_line_for_each_clause() -> None:
    """Clauses and conditions begin lines; what stands in brackets, and BETWEEN's AND, do not."""
    assert reading(LONG).text.split("\n") == [
        "update orders",
        "set status = 'x'",
        "where id between 1 and 9",
        "  and customer in (select id from c where a = 1)",
        "  or b",
    ]


def test_lines_of_the_author_stay() -> None:
    """A statement that has lines already is not touched."""
    text = "select 1,\n       2 from a where b = 1 and c = 2 and d = 3 and e = 4 and f = 5 and g = 6"
    assert reading(text).text == text


def test_words_are_told_apart_as_the_server_does() -> None:
    """What only looks like a comment or a string is none, and the other way round."""
    kinds = dict(reading("select 'a -- b', $$ '; drop $$, $1, 12.5 /* x /* y */ z */ -- end").parts())
    assert kinds["'a -- b'"] == kinds["$$ '; drop $$"] == "text"
    assert kinds["$1"] == "parameter"
    assert kinds["12.5"] == "number"
    assert kinds["/* x /* y */ z */"] == kinds["-- end"] == "comment"


@pytest.mark.parametrize(
    "text", ["select 'open", 'select "open', "\0", "", "select 1" + " " * 70_000, "select /* open"]
)
def test_what_cannot_be_read_is_shown_as_it_is(text: str) -> None:
    """An open string, a NUL and a text that is too long come back unchanged and plain."""
    assert list(reading(text).parts()) == ([(text, "")] if text else [])


@given(st.text(alphabet="selctfromwhd '\"$-/*;()1,äand\n\t\\", max_size=160))
def test_nothing_is_lost_or_added(text: str) -> None:
    """Whatever is written, the pieces together are the text, but for white space between words; the words stay."""
    shown = reading(text)
    assert "".join(part for part, _ in shown.parts()) == shown.text
    assert "".join(shown.text.split()) == "".join(text.split())
    words = [(word.name, shown.text[word.start : word.end]) for word in _scan(shown.text)]
    assert words == [(word.name, text[word.start : word.end]) for word in _scan(text)]


@given(st.lists(st.sampled_from(LONG.split()), min_size=20, max_size=60))
def test_long_lines_keep_their_words(words: list[str]) -> None:
    """Laying out changes no word of any long line."""
    text = " ".join(words)
    assert reading(text).text.split() == text.split()
