"""Bulk output is searched a row at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ResourceError
from tidegate.wire.postgres_copied import Copied
from tidegate.wire.postgres_messages import message


def scan(value: bytes) -> bytes:
    """Replaces the letter that must not be seen."""
    return value.replace(b"S", b"[masked]") if b"S" in value else value


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_rows_keep_their_frames(rows: list[bytes]) -> None:
    """Each is changed by itself, and what is clear stays the very bytes."""
    data = b"xx" + b"".join(message(b"d", row) for row in rows) + b"yy"
    found, count = Copied(scan, binary=False).rewrite(data, 2, len(data) - 2)
    assert count == sum(b"S" in row for row in rows)
    assert found == (b"".join(message(b"d", scan(row)) for row in rows) if count else None)


def test_binary_rows_cannot_be_changed() -> None:
    """They end the session when something is found, and pass otherwise."""
    copied = Copied(scan, binary=True)
    clear = message(b"d", b"abc")
    assert copied.rewrite(clear, 0, len(clear)) == (None, 0)
    with pytest.raises(ResourceError, match="binary"):
        copied.rewrite(message(b"d", b"aSc"), 0, 8)
