"""A command as people type it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.operations.redis_text import parse, reading, redacted, written

ARGS = st.lists(st.binary(max_size=20), min_size=1, max_size=6)


@given(ARGS)
def test_what_is_written_is_read_back(args: list[bytes]) -> None:
    """Whatever bytes there are; only the name's case is lost."""
    assert parse(written(args)) == [args[0].upper(), *args[1:]]
    assert written(args).isprintable()


@given(st.text(max_size=60))
def test_any_line_is_read_or_not(line: str) -> None:
    """Never an error, and what is laid out is the same text."""
    assert parse(line) is None or all(isinstance(arg, bytes) for arg in parse(line) or ())
    assert reading(line).text == line
    assert "".join(part for part, _ in reading(line).parts()) == line
    redacted(line)


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("get a", [b"get", b"a"]),
        ("  get\ta  ", [b"get", b"a"]),
        ('set a "b c"', [b"set", b"a", b"b c"]),
        (r'set a "\x00\n\""', [b"set", b"a", b'\x00\n"']),
        ("set a 'it\\'s'", [b"set", b"a", b"it's"]),
        ('set a ""', [b"set", b"a", b""]),
        ('set a "b', None),
        ('set a "b"c', None),
        ("set a b'c", None),
        ("", []),
    ],
)
def test_lines(line: str, args: list[bytes] | None) -> None:
    """Quotes as redis-cli has them."""
    assert parse(line) == args


def test_nothing_of_value_is_left() -> None:
    """What leaves the house names the command only."""
    assert redacted('SET user:7 "secret"\nDEL user:7') == "SET ? ?; DEL ?"
    assert redacted('SET "') == ""
    assert redacted("hunter2:x") == ""


def test_the_name_stands_out() -> None:
    """And so does what is in quotes."""
    assert [kind for _, kind in reading('SET k "v w"').parts()] == ["keyword", "", "text"]
