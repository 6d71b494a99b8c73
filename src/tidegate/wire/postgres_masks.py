"""Masks for the columns of one result set, as the upstream itself describes them.

Why the upstream's description: it names table and column by number, so that aliases hide nothing. A column's type
decides which masked values the agent's decoder accepts; where none is known to fit, the value becomes null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.errors import ResourceError
from tidegate.model.operation import Column, Operation, Results, Shape, Transform
from tidegate.model.resource import Field

from .postgres_messages import Described

FindColumn = Callable[[int, int], tuple[Field | None, bool]]
"""Base field of a relation's oid and attribute number, and whether the catalog does not know them."""

TEXT_TYPES = frozenset((19, 25, 705, 1042, 1043))  # name, text, unknown, bpchar, varchar
JSON, JSONB = 114, 3802


def masks(
    results: Results, operation: Operation, described: Sequence[Described], find: FindColumn
) -> Sequence[Transform | None] | None:
    """Ask once for a result set; None lets the rows pass untouched. Raises ResourceError."""
    transforms = results.columns(operation, [_column(column, find) for column in described])
    if transforms is None or not any(transforms):
        return None
    if len(transforms) != len(described):
        raise ResourceError("The masks do not fit the columns of the result.")
    return [_fitted(transform, column) for transform, column in zip(transforms, described, strict=True)]


def _column(column: Described, find: FindColumn) -> Column:
    origin, unknown = find(column.table, column.attribute) if column.table else (None, False)
    shape = Shape.TEXT if column.kind in TEXT_TYPES else Shape.JSON if column.kind in (JSON, JSONB) else Shape.OTHER
    return Column(column.name, shape, origin, unknown)


def _fitted(transform: Transform | None, column: Described) -> Transform | None:
    """The transform for the column's format: a binary jsonb value begins with a version byte."""
    if transform is None or column.kind != JSONB or not column.binary:
        return transform

    def versioned(value: bytes) -> bytes | None:
        masked = transform(value[1:])
        return None if masked is None else b"\x01" + masked

    return versioned
