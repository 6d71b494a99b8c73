"""Names in a query and the base fields whose values flow through them.

``Sources`` is a set of base fields, or None for "cannot be followed", which absorbs everything. A ``Rowset`` is what a
FROM item or a query gives; an *open* one has further columns that cannot be enumerated, each with sources ``rest``.
Look-up follows PostgreSQL (parse_relation.c): columns at every level first, then whole rows. Where the server would
report an ambiguity, all candidates count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tidegate.model.resource import Field

from .catalog import SYSTEM_COLUMNS

Sources: TypeAlias = "frozenset[Field] | None"

CLEAR: frozenset[Field] = frozenset()
_SYSTEM = frozenset(SYSTEM_COLUMNS.values())


def union(parts: Iterable[Sources]) -> Sources:
    """All sources together; None if one of them is."""
    found: set[Field] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Column:
    """A named column and where its values come from."""

    name: str
    sources: Sources


@dataclass(frozen=True, slots=True)
class Rowset:
    """Columns in order; ``open`` says that there are more, of unknown names."""

    columns: tuple[Column, ...] = ()
    open: bool = False
    rest: Sources = CLEAR

    @property
    def everything(self) -> Sources:
        """The sources of a whole row."""
        return union([*(column.sources for column in self.columns), self.rest])

    def exact(self, name: str) -> list[Sources]:
        """The sources of every column of this name."""
        return [column.sources for column in self.columns if column.name == name]

    def renamed(self, names: tuple[str, ...]) -> Rowset:
        """The first columns under new names, as an alias with a column list does."""
        if self.open and names:
            return Rowset(tuple(Column(name, self.everything) for name in names), True, self.everything)
        columns = tuple(Column(name, column.sources) for name, column in zip(names, self.columns, strict=False))
        return Rowset(columns + self.columns[len(columns) :], self.open, self.rest)


UNKNOWN = Rowset(open=True, rest=None)


@dataclass(frozen=True, slots=True)
class Item:
    """A FROM item by its alias, which may be qualified by ``schema``."""

    alias: str
    rows: Rowset
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One FROM entry: the items it makes visible, and its columns as ``*`` and bare names see them."""

    items: tuple[Item, ...]
    rows: Rowset


@dataclass(slots=True)
class Scope:
    """The names visible at one query level."""

    parent: Scope | None = None
    frames: list[Frame] = field(default_factory=list)
    tables: Mapping[str, Rowset] = field(default_factory=dict)
    setting: str = ""
    """The setting whose row of pg_settings is the only one that FROM and WHERE leave."""

    def levels(self) -> Iterator[Scope]:
        """This level and those around it."""
        level: Scope | None = self
        while level is not None:
            yield level
            level = level.parent

    @property
    def width(self) -> int:
        """How many FROM entries a name may have to be looked up in."""
        return sum(len(level.frames) for level in self.levels())

    def table(self, name: str) -> Rowset | None:
        """The WITH query of this name."""
        return next((level.tables[name] for level in self.levels() if name in level.tables), None)

    def item(self, alias: str, schema: str = "") -> Item | None:
        """The FROM item of this alias."""
        for level in self.levels():
            for frame in level.frames:
                for item in frame.items:
                    if item.alias == alias and schema in ("", item.schema):
                        return item
        return None

    def column(self, name: str) -> list[Sources]:
        """The sources of the column of this bare name; empty if there is none."""
        possible: list[Sources] = []
        for level in self.levels():
            exact = [found for frame in level.frames for found in frame.rows.exact(name)]
            possible += [frame.rows.rest for frame in level.frames if frame.rows.open]
            if exact:
                return exact + possible
        whole = self.item(name)
        if whole is not None:
            return [*possible, whole.rows.everything]
        if possible:
            return possible
        return [CLEAR] if name in _SYSTEM else []

    def column_is_plain(self, names: tuple[str, ...]) -> bool:
        """Whether a name is one of a column at some level, so that it cannot mean a whole row."""
        rows = (frame.rows for level in self.levels() for frame in level.frames)
        return len(names) == 1 and any(found.exact(names[0]) for found in rows)

    def star(self) -> Rowset:
        """What a bare ``*`` stands for at this level."""
        columns = tuple(column for frame in self.frames for column in frame.rows.columns)
        openings = [frame.rows for frame in self.frames if frame.rows.open]
        return Rowset(columns, bool(openings), union(rows.rest for rows in openings))


def is_system(name: str) -> bool:
    """Whether every stored relation has a column of this name (ctid, xmin, ...), which never holds a user's value."""
    return name in _SYSTEM
