"""What a description's columns are in the catalog is remembered for as long as that is the very catalog."""

from __future__ import annotations

from tidegate.model.resource import Field
from tidegate.wire._frames import HEADER
from tidegate.wire.postgres_masks import Catalog, Descriptions
from unit.wire.messages import columns


class Named:
    """Every column is of an object of this name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def column(self, oid: int, attribute: int) -> tuple[Field | None, bool]:
        return Field(self.name, f"c{attribute}"), False


def test_columns_of_the_same_catalog_are_the_same() -> None:
    """The same bytes under the same catalog are the very list; under another catalog they are looked up anew."""
    current: list[Catalog] = [Named("old")]
    known = Descriptions(lambda: current[0])
    body = columns("a", "b", table=1)[HEADER:]
    first = known.columns(known.read(body))
    assert known.columns(known.read(body)) is first
    current[0] = Named("new")
    second = known.columns(known.read(body))
    assert [str(column.origin) for column in (*first, *second)] == ["old.c1", "old.c2", "new.c1", "new.c2"]
    current[0] = Named("old")
    assert known.columns(known.read(body)) == first


def test_other_bytes_are_another_description() -> None:
    """A description is known by all of its bytes: name, numbers, type and format."""
    catalog = Named("t")
    known = Descriptions(lambda: catalog)
    bodies = [
        columns("a", table=1)[HEADER:],
        columns("b", table=1)[HEADER:],
        columns("a", table=2)[HEADER:],
        columns("a", table=1, kind=23)[HEADER:],
        columns("a", table=1, binary=True)[HEADER:],
    ]
    assert len({id(known.read(body)) for body in bodies}) == len(bodies)
    assert not known.read(bodies[0]).fields[0].binary and known.read(bodies[4]).fields[0].binary


def test_only_so_many_are_kept() -> None:
    """Any number of descriptions is read."""
    catalog = Named("t")
    known = Descriptions(lambda: catalog)
    for number in range(200):
        assert known.columns(known.read(columns(f"c{number}", table=1)[HEADER:]))[0].name == f"c{number}"
