"""What the upstream's catalog says: relations, search path, families, and which names users have defined.

A Catalog is frozen; after DDL a new one is built. It answers by name as the server itself would resolve it, and by the
numbers (relation oid, attribute) that a result description carries. It never guesses: what it does not know is None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.model.resource import Field

from .catalog_queries import QUERIES
from .catalog_values import HOLDS_SECRETS, HOLDS_VALUES, SECRET_FIELDS, VALUE_FIELDS

__all__ = ["HOLDS_SECRETS", "HOLDS_VALUES", "QUERIES", "SECRET_FIELDS", "VALUE_FIELDS", "Catalog", "Relation"]

Rows = Sequence[Sequence[str | None]]

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized", "f": "foreign", "S": "sequence"}
_EXPANDED = frozenset({"view", "materialized"})

OWN = "pg_temp"
"""The schema of a session's own temporary relations, whatever the server calls it."""

SYSTEM_COLUMNS: Mapping[int, str] = {-1: "ctid", -2: "xmin", -3: "cmin", -4: "xmax", -5: "cmax", -6: "tableoid"}
"""Columns every stored relation has, by their attribute numbers."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialized view, foreign table, sequence, or one of the server's own catalogs (``system``).

    ``definition`` is a view's query, ``reactive`` says that writing runs users' code: triggers, rules, functions in
    defaults, constraints and indexes; ``guards`` are the
    expressions that row security evaluates on reading, ``generated`` maps generated columns to their expressions.
    """

    oid: int
    schema: str
    name: str
    kind: str
    columns: tuple[str, ...] = ()
    attributes: Mapping[int, str] = field(default_factory=dict)
    definition: str | None = None
    reactive: bool = False
    guards: tuple[str, ...] = ()
    generated: Mapping[str, str] = field(default_factory=dict)

    @property
    def object(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"

    @property
    def expanded(self) -> bool:
        """Whether its values are those of other relations, to be followed through ``definition``."""
        return self.kind in _EXPANDED


@dataclass(frozen=True, slots=True)
class Catalog:
    """The relations of one database as one role's session sees them; see ``build``."""

    path: tuple[str, ...] = ("pg_catalog",)
    functions: frozenset[tuple[str, str]] = frozenset()
    operators: frozenset[tuple[str, str]] = frozenset()
    casts: frozenset[tuple[str, str]] = frozenset()
    types: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _relations: Mapping[int, Relation] = field(default_factory=dict)
    _names: Mapping[tuple[str, str], Relation] = field(default_factory=dict)
    _families: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _neighbours: Mapping[str, frozenset[str]] = field(default_factory=dict)
    reactive: bool = False

    @classmethod
    def build(cls, rows: Mapping[str, Rows]) -> Catalog:
        """From the rows of QUERIES, as text; raises KeyError or ValueError if a look-up is missing or malformed."""
        relations = _relations(rows)
        families = _families(_pairs(rows["inheritance"], relations), relations.values())
        neighbours: dict[str, set[str]] = defaultdict(set)
        for one, other in _pairs(rows["foreign_keys"], relations):
            neighbours[one].add(other)
            neighbours[other].add(one)
        return cls(
            path=tuple(_text(row[0]) for row in rows["path"]),
            functions=frozenset((_text(row[0]), _text(row[1])) for row in rows["functions"]),
            operators=frozenset((_text(row[0]), _text(row[1])) for row in rows["operators"]),
            casts=frozenset((_text(row[0]), _text(row[1])) for row in rows["casts"]),
            types={(_text(row[0]), _text(row[1])): _text(row[2]) for row in rows["types"]},
            _relations=relations,
            _names={(relation.schema, relation.name): relation for relation in relations.values()},
            _families=families,
            _neighbours={name: frozenset(others) for name, others in neighbours.items()},
            reactive=any(relation.reactive and relation.kind != "system" for relation in relations.values()),
        )

    def within_session(self, path: Sequence[str], own: str, temporary: Iterable[Relation]) -> Catalog:
        """The same as a session sees it: by its search path, and with its temporary relations (schema ``own``)."""
        made = [replace(relation, schema=OWN) for relation in temporary]
        others = {oid: relation for oid, relation in self._relations.items() if relation.schema != own}
        names = {key: relation for key, relation in self._names.items() if key[0] != own}
        return replace(
            self,
            path=tuple(OWN if entry == own else entry for entry in path),
            _relations={**others, **{relation.oid: relation for relation in made}},
            _names={**names, **{(OWN, relation.name): relation for relation in made}},
        )

    def resolve(self, schema: str | None, name: str) -> Relation | None:
        """The relation that the name means on the effective search path; None if there is none."""
        if schema is not None:
            return self._names.get((schema, name))
        return next((found for entry in self.path if (found := self._names.get((entry, name)))), None)

    def within(self, schema: str) -> frozenset[str]:
        """The objects of a schema."""
        return frozenset(relation.object for relation in self._relations.values() if relation.schema == schema)

    def relation(self, oid: int) -> Relation | None:
        """The relation of this oid."""
        return self._relations.get(oid)

    def field(self, oid: int, attribute: int) -> Field | None:
        """The base column of these numbers; None for views (their lineage decides) and for what is unknown."""
        relation = self._relations.get(oid)
        if relation is None or relation.expanded:
            return None
        name = relation.attributes.get(attribute) or SYSTEM_COLUMNS.get(attribute)
        return Field(relation.object, name) if name else None

    def family(self, object: str) -> frozenset[str]:
        """The object with its parents, children and partitions, to any depth: they share tags."""
        return self._families.get(object, frozenset({object}))

    def reach(self, object: str) -> frozenset[str]:
        """What an error of a write to the object may name: its family, and what foreign keys tie to that."""
        family = self.family(object)
        tied = {other for member in family for other in self._neighbours.get(member, ())}
        return family.union(*(self.family(other) for other in tied))


def _text(value: str | None) -> str:
    if value is None:
        raise ValueError("a catalog look-up gave NULL where a name belongs")
    return value


def _grouped(rows: Rows) -> dict[int, list[Sequence[str | None]]]:
    groups: dict[int, list[Sequence[str | None]]] = defaultdict(list)
    for row in rows:
        groups[int(_text(row[0]))].append(row[1:])
    return groups


def _relations(rows: Mapping[str, Rows]) -> dict[int, Relation]:
    attributes, views = _grouped(rows["attributes"]), _grouped(rows["views"])
    guards, generated = _grouped(rows["guards"]), _grouped(rows["generated"])
    relations = {}
    for oid_text, schema, name, kind, reactive, system in rows["relations"]:
        oid = int(_text(oid_text))
        numbered = {int(_text(row[0])): _text(row[1]) for row in attributes.get(oid, ())}
        relations[oid] = Relation(
            oid=oid,
            schema=_text(schema),
            name=_text(name),
            kind="system" if system == "t" else _KINDS[_text(kind)],
            columns=tuple(numbered.values()),
            attributes=numbered,
            definition=views[oid][0][0] if oid in views else None,
            reactive=reactive == "t",
            guards=tuple(_text(row[0]) for row in guards.get(oid, ())),
            generated={_text(row[0]): _text(row[1]) for row in generated.get(oid, ())},
        )
    return relations


def _pairs(rows: Rows, relations: Mapping[int, Relation]) -> list[tuple[str, str]]:
    pairs = ((relations.get(int(_text(row[0]))), relations.get(int(_text(row[1])))) for row in rows)
    return [(one.object, other.object) for one, other in pairs if one and other]


def _families(pairs: Iterable[tuple[str, str]], relations: Iterable[Relation]) -> dict[str, frozenset[str]]:
    families = {relation.object: {relation.object} for relation in relations}
    for child, parent in pairs:
        merged = families[child] | families[parent]
        for member in merged:
            families[member] = merged
    return {name: frozenset(members) for name, members in families.items() if len(members) > 1}
