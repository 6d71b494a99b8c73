"""Boundaries, spans and cells: the hot path on its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ResourceError
from tidegate.wire._frames import Spans, rewrite, run
from unit.wire.messages import frame, row

CELLS = st.lists(st.one_of(st.none(), st.binary(max_size=30)), min_size=3, max_size=3)


def test_run_stops_where_it_must() -> None:
    """A run ends before another tag, an incomplete message, or a length that lies."""
    one = row(b"1")
    assert run(one * 3 + frame("C"), 0, ord("D")) == (len(one) * 3, 3)
    assert run(one + one[:-1], 0, ord("D")) == (len(one), 1)
    assert run(b"D\0\0\0\3" + one, 0, ord("D")) == (0, 0)


def test_spans_without_a_change_are_the_same_object() -> None:
    """Nothing replaced, nothing copied."""
    data = b"abcdef"
    assert Spans(data).finish(6) is data


def test_spans() -> None:
    """Replaced spans change, everything else stays."""
    spans = Spans(b"abcdef")
    spans.replace(0, 1, b"")
    spans.replace(2, 4, b"XYZ")
    assert spans.finish(5) == b"bXYZe"


@given(st.lists(CELLS, max_size=8))
def test_rewrite_changes_only_masked_cells(rows: list[list[bytes | None]]) -> None:
    """Each masked value is transformed and counted, each other cell is kept."""
    data = b"".join(row(*cells) for cells in rows)
    counts = [0, 0, 0]
    found = rewrite(data, 0, len(data), (None, lambda value: value[::-1] + b"!", lambda value: None), counts)
    assert found == b"".join(row(a, None if b is None else b[::-1] + b"!", None) for a, b, _ in rows)
    assert counts == [0, sum(b is not None for _, b, _ in rows), sum(c is not None for _, _, c in rows)]


@given(st.binary(min_size=1, max_size=40))
def test_rewrite_of_noise(body: bytes) -> None:
    """A row that does not fit its columns raises ResourceError and nothing else."""
    data = frame("D", b"\0\2" + body)
    try:
        rewrite(data, 0, len(data), (None, lambda value: b""), [0, 0])
    except ResourceError as error:
        assert "upstream" in error.message


def test_rewrite_of_a_row_with_another_number_of_columns() -> None:
    """A row must have as many columns as were announced."""
    with pytest.raises(ResourceError, match="number of columns"):
        rewrite(row(b"1"), 0, len(row(b"1")), (None, None), [0, 0])
