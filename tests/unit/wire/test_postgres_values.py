"""Bound values: taken apart, with their types, and read by people."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError
from tidegate.wire.postgres_values import LONGEST, Value, readable, values


def encoded(found: list[Value]) -> bytes:
    """The canonical encoding."""
    return b"".join(
        struct.pack(">hi", one.format, -1 if one.data is None else len(one.data)) + (one.data or b"") for one in found
    )


@given(
    st.lists(
        st.builds(Value, st.integers(0, 1), st.one_of(st.none(), st.binary(max_size=20)), st.integers(0, 2**32 - 1))
    )
)
def test_values_are_what_was_encoded(found: list[Value]) -> None:
    """Taking apart gives back every value, its format and its type."""
    assert values(encoded(found), b"".join(one.type.to_bytes(4, "big") for one in found)) == tuple(found)


@given(st.binary(max_size=60), st.binary(max_size=9))
def test_garbage(data: bytes, declared: bytes) -> None:
    """Anything else is an error of its own kind, or some values; never a surprise."""
    with contextlib.suppress(AgentError):
        values(data, declared)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Value(0, b"5"), "5"),
        (Value(1, b"\0\0\0\5", 23), "5"),
        (Value(1, b"\xff\xff\xff\xfb", 23), "-5"),
        (Value(1, b"\1", 16), "True"),
        (Value(1, b"caf\xc3\xa9", 25), "café"),
        (Value(1, b"\0\0\0\5"), "\\x00000005"),
        (Value(1, b"\0\5", 23), "\\x0005"),
        (Value(0, None), "NULL"),
        (Value(0, b"\xff"), "\\xff"),
        (Value(0, b"x" * 3000), "x" * LONGEST + "... (3000 characters)"),
    ],
)
def test_readable(value: Value, words: str) -> None:
    """A value is read only where its type says how."""
    assert readable(value) == words
