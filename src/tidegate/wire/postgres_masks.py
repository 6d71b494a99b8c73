"""Masks for the columns of one result set, as the upstream itself describes them.

Why the upstream's description: it names table and column by number, so that aliases hide nothing. A column's type
decides which masked values the agent's decoder accepts; where none is known to fit, the value becomes null.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tidegate.errors import ResourceError
from tidegate.model.operation import Column, Constant, Operation, Results, Shape, Transform
from tidegate.model.resource import Field

from .postgres_messages import Described, row_description


class Catalog(Protocol):
    """What is known of base columns. It never changes: where more becomes known, another takes its place."""

    def column(self, oid: int, attribute: int) -> tuple[Field | None, bool]:
        """Base field of a relation's oid and attribute number, and whether these numbers are not known."""


FindCatalog = Callable[[], Catalog]
"""The catalog that holds now."""

TEXT_TYPES = frozenset((19, 25, 705, 1042, 1043))  # name, text, unknown, bpchar, varchar
JSON: Final = 114
JSONB: Final = 3802
JSONB_VERSION = b"\x01"

LONGEST, KEPT = 2048, 64
"""Bytes of a description that is kept, and how many a session keeps."""


class Description:
    """The columns that one RowDescription announces; ``columns``: what they are in the catalog of that ``turn``."""

    __slots__ = ("columns", "fields", "turn")

    def __init__(self, fields: tuple[Described, ...]) -> None:
        self.fields: Final = fields
        self.columns: list[Column] = []
        self.turn = 0


class Descriptions:
    """The last descriptions of a session by their bytes: the same comes with every execution of a statement."""

    def __init__(self, find: FindCatalog) -> None:
        self._find = find
        self._catalog: weakref.ref[Catalog] | None = None
        self._turn = 0
        self._known: dict[bytes, Description] = {}

    def read(self, body: bytes) -> Description:
        """The body of a RowDescription, understood. Raises ResourceError."""
        found = self._known.get(body)
        if found is None:
            found = Description(row_description(body))
            if len(body) <= LONGEST:
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[body] = found
        return found

    def columns(self, described: Description) -> list[Column]:
        """The columns as they are in the catalog now; the very list as long as that is the very catalog."""
        now = self._find()
        if self._catalog is None or self._catalog() is not now:
            self._catalog = weakref.ref(now)  # an idle session does not keep an old one
            self._turn += 1
        if described.turn != self._turn:
            described.columns = [_column(field, now) for field in described.fields]
            described.turn = self._turn
        return described.columns

    def masks(
        self, results: Results, operation: Operation, described: Description
    ) -> Sequence[Transform | None] | None:
        """Ask once for a result set; None lets the rows pass untouched. Raises ResourceError."""
        transforms = results.columns(operation, self.columns(described))
        if transforms is None or not any(transforms):
            return None
        if len(transforms) != len(described.fields):
            raise ResourceError("The masks do not fit the columns of the result.")
        return [_fitted(transform, column) for transform, column in zip(transforms, described.fields, strict=True)]


def _column(column: Described, catalog: Catalog) -> Column:
    # A whole row has its table's number but no attribute's: its lineage says what is in it.
    based = column.table and column.attribute
    origin, unknown = catalog.column(column.table, column.attribute) if based else (None, False)
    shape = Shape.TEXT if column.kind in TEXT_TYPES else Shape.JSON if column.kind in (JSON, JSONB) else Shape.OTHER
    return Column(column.name, shape, origin, unknown)


def _fitted(transform: Transform | None, column: Described) -> Transform | None:
    """The transform for the column's format: a binary jsonb value begins with a version byte."""
    if transform is None or column.kind != JSONB or not column.binary:
        return transform
    if isinstance(transform, Constant):
        return transform if transform.value is None else Constant(JSONB_VERSION + transform.value)

    inner = transform

    def versioned(value: bytes) -> bytes | None:
        text = value[1:]
        masked = inner(text)
        return None if masked is None else value if masked is text else JSONB_VERSION + masked

    return versioned


def needed(transforms: Sequence[Transform | None], data: bytes, at: int, end: int) -> Sequence[Transform | None] | None:
    """The transforms that can change anything in these rows: what only looks for something looks at all rows first."""
    gates = [getattr(transform, "suspicious", None) for transform in transforms]
    gate = next((gate for gate in gates if gate is not None), None)
    if gate is None or gate(data[at:end]):
        return transforms
    rest = [None if gate is not None else each for each, gate in zip(transforms, gates, strict=True)]
    return rest if any(rest) else None
