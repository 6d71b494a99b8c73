"""Which fields are sensitive, and by which tag.

Tags come from the configuration of a resource and from what is sensitive on every resource of its kind (the caller
hands in both as one mapping). A field ``(object, "*")`` tags every column of the object. Parents, children and
partitions share tags by column name, since a row of one is a row of the other.

Invariant: within a family a field has the same answer whichever member it is asked of, or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tidegate.model.resource import Field

EVERY = "*"
"""The column name that stands for every column of an object."""


def covers(prefix: str, tag: str) -> bool:
    """Whether ``tag`` is ``prefix`` or lies beneath it: ``pii`` covers ``pii.email``."""
    return tag == prefix or tag.startswith(prefix + ".")


class Tags:
    """The tags of one resource as its catalog stands; made anew when either changes."""

    def __init__(self, tags: Mapping[Field, str], family: Callable[[str], frozenset[str]]) -> None:
        self._tags = dict(tags)
        self._family = family
        self._found: dict[Field, str | None] = {}
        self._named = frozenset(field.object for field in tags)
        self._families = {name: family(name) for name in self._named}
        self._objects = self._named.union(*self._families.values())

    def tag(self, field: Field) -> str | None:
        """The tag of a base field, its own before its family's; ``None`` when it is clear."""
        if field not in self._found:
            self._found[field] = self._look_up(field)
        return self._found[field]

    def _look_up(self, field: Field) -> str | None:
        for name in (field.object, *sorted(self._kin(field.object))):
            tag = self._tags.get(Field(name, field.name)) or self._tags.get(Field(name, EVERY))
            if tag is not None:
                return tag
        if field.name == EVERY:
            # The whole row of an object: any tag in it is one too many.
            kin = self._kin(field.object) | {field.object}
            return next((tag for found, tag in sorted(self._tags.items()) if found.object in kin), None)
        return None

    def _kin(self, name: str) -> frozenset[str]:
        # A catalog may know a kinship from one side only; it counts from both.
        return self._family(name) | {tagged for tagged in self._named if name in self._families[tagged]}

    @property
    def any(self) -> bool:
        """Whether there are tags at all."""
        return bool(self._tags)

    def objects(self) -> frozenset[str]:
        """Every object with a tagged field, families included."""
        return self._objects

    def touched(self, objects: Iterable[str]) -> bool:
        """Whether any of these objects, or one of its family, has a tagged field."""
        return any(name in self._objects or not self._named.isdisjoint(self._family(name)) for name in objects)

    def missing(self, known: Callable[[Field], bool]) -> tuple[Field, ...]:
        """The tagged fields that the catalog does not know: a renamed column must not slip out from under its tag."""
        return tuple(sorted(field for field in self._tags if field.name != EVERY and not known(field)))
