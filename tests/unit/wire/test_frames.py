"""Boundaries, spans and cells: the hot path on its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import ResourceError
from tidegate.model.operation import Constant
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


def test_spans_that_are_replaced_whole_are_the_new_object() -> None:
    """Everything replaced, nothing copied either."""
    spans, new = Spans(b"abcdef"), b"new"
    spans.replace(0, 6, new)
    assert spans.finish(6) is new
    gone = Spans(b"abcdef")
    gone.replace(0, 6, b"")
    assert gone.finish(6) == b""


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


@given(
    st.lists(CELLS, max_size=8),
    st.one_of(st.none(), st.binary(min_size=1, max_size=30)),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_a_constant_mask_is_like_any_other(
    rows: list[list[bytes | None]], mask: bytes | None, first: int, last: int
) -> None:
    """A mask that is written without looking at the value gives what a function with the same answer gives."""
    data = b"".join(row(*cells) for cells in rows)
    chosen = [first <= column <= last for column in range(3)]
    counts, other = [0, 0, 0], [0, 0, 0]
    found = rewrite(data, 0, len(data), [Constant(mask) if one else None for one in chosen], counts)
    assert found == rewrite(data, 0, len(data), [(lambda value: mask) if one else None for one in chosen], other)
    assert counts == other


def test_rewrite_begins_and_ends_where_it_is_told() -> None:
    """Only the rows between the two places come out, and their lengths fit however large they become."""
    one = row(b"1")
    large = b"x" * 70_000
    assert rewrite(one * 3, len(one), len(one) * 2, [Constant(large)], [0]) == row(large)
    assert rewrite(row(large), 0, len(row(large)), [Constant(b"")], [0]) == row(b"")


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


@pytest.mark.parametrize(
    ("cells", "match"),
    [(b"\0\0\0\1x!", "behind its last"), (b"\0\0\0\3x", "reaches beyond"), (b"\xff\xff\xff\xfe", "reaches beyond")],
)
def test_a_row_ends_where_its_cells_end(cells: bytes, match: str) -> None:
    """Neither too few nor too many bytes for the announced cells pass, whatever follows the row."""
    data = frame("D", b"\0\1" + cells) + row(b"next")
    with pytest.raises(ResourceError, match=match):
        rewrite(data, 0, len(data), [Constant(None)], [0])
