"""Pages of long lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError
from tidegate.web.pages import page, place


@given(st.sets(st.integers(0, 10**6), max_size=60), st.integers(1, 20))
def test_pages_give_everything_once_newest_first(keys: set[int], limit: int) -> None:
    """Following the cursors gives every item exactly once, in descending order."""
    found: list[int] = []
    cursor: str | None = None
    while True:
        got = page(keys, lambda key: key, lambda key: key, limit, cursor)
        found += got.items
        assert len(got.items) <= limit
        cursor = got.next
        if cursor is None:
            break
    assert found == sorted(keys, reverse=True)


@pytest.mark.parametrize("cursor", ["", "-1", "1e3", "٣", "x"])
def test_odd_cursors_are_refused(cursor: str) -> None:
    """Only a plain number is a cursor."""
    with pytest.raises(AgentError, match="not a cursor"):
        place(cursor)


def test_a_cursor_beyond_any_place_is_refused() -> None:
    """A number that no database column holds is no cursor."""
    with pytest.raises(AgentError):
        place("9" * 40)
