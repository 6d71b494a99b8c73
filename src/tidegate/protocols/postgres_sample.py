"""Rows of a dry run as people may see them: tagged fields are hidden, and so is what a tagged value flows into.

An approver has no mask lifted. What is hidden shows nothing of a value, equality neither. What cannot be followed is
hidden whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.masking.plan import plan
from tidegate.masking.tags import Tags
from tidegate.model.impact import Sample
from tidegate.model.operation import Column, Facts, Rows, Shape
from tidegate.operations.trial import Trial, quoted

from .postgres_catalog import Schema
from .postgres_own import Answer

LONGEST = 200
"""Characters of a value that are shown."""

_NO_KEY = bytes(32)
_HIDDEN = "[masked]"


def samples(
    made: Trial, answer: Answer, facts: Facts, schema: Schema, tags: Tags, *, copies: bool
) -> tuple[Sample | None, Sample | None]:
    """Rows before and after, as far as the trial shows them; ``copies``: a trigger may put a tagged value anywhere."""
    if made.kind == "merge" or not answer.rows:
        return None, None
    rows = [row[1:] for row in answer.rows]
    if made.relation is None:
        columns = [_column(schema, field.name, field.table, field.attribute) for field in answer.columns[1:]]
        return None, _sample([column.name for column in columns], _hidden(columns, facts, tags), rows)
    names, width, reading = made.columns, len(made.columns), _reading(made, schema)
    hidden = _hidden([Column(name, Shape.TEXT) for name in names], reading, tags)
    first = [row[:width] for row in rows]
    if made.kind == "delete":
        return _sample(names, hidden, first), None
    copied = [True] * width if copies else _copied(facts, reading, tags, width)
    after = _sample(names, [one or other for one, other in zip(hidden, copied, strict=True)], first)
    known = [row[width:] for row in rows if made.paired and any(cell is not None for cell in row[width:])]
    return _sample(names, hidden, known) if known else None, after


def _column(schema: Schema, name: str, table: int, attribute: int) -> Column:
    origin, unknown = schema.column(table, attribute) if table else (None, False)
    return Column(name, Shape.TEXT, origin, unknown)


def _reading(made: Trial, schema: Schema) -> Facts:
    """What a read of the relation's own columns comes to, generated ones and those of views followed."""
    assert made.relation is not None
    names = ", ".join(map(quoted, made.columns))
    whole = f"{quoted(made.relation.schema)}.{quoted(made.relation.name)}"
    (facts,) = schema.classify(f"SELECT {names} FROM {whole}")  # noqa: S608 - every name is quoted
    return facts


def _hidden(columns: Sequence[Column], facts: Facts, tags: Tags) -> list[bool]:
    maskings = plan(columns, facts, tags, frozenset(), _NO_KEY)
    return [masking is not None for masking in maskings] if maskings else [False] * len(columns)


def _copied(facts: Facts, reading: Facts, tags: Tags, width: int) -> list[bool]:
    """Into which columns the statement may copy a tagged value."""
    if facts.flows is None:
        return [True] * width
    targets = {target for source, target in facts.flows if tags.tag(source) is not None}
    if reading.outputs is None or len(reading.outputs) != width:
        return [bool(targets)] * width
    return [bool(targets) and (each.sources is None or bool(targets & each.sources)) for each in reading.outputs]


def _sample(names: Sequence[str], hidden: Sequence[bool], rows: Rows) -> Sample:
    return Sample(tuple(names), [tuple(map(_shown, row, hidden)) for row in rows])


def _shown(value: bytes | None, hide: bool) -> str | None:
    if value is None:
        return None
    if hide:
        return _HIDDEN
    text = value.decode("utf-8", "replace")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
