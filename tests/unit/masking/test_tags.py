"""Which fields are tagged."""

from __future__ import annotations

import pytest

from tidegate.masking.tags import Tags, covers
from tidegate.model.resource import Field

EMAIL = Field("public.customers", "email")
KIN = frozenset({"public.customers", "public.customers_2024"})


def family(name: str) -> frozenset[str]:
    return KIN if name in KIN else frozenset({name})


TAGS = Tags({EMAIL: "pii.email", Field("cat.stats", "*"): "catalog.values"}, family)


@pytest.mark.parametrize(
    ("object", "column", "tag"),
    [
        ("public.customers", "email", "pii.email"),
        ("public.customers", "id", None),
        ("public.customers_2024", "email", "pii.email"),
        ("public.orders", "email", None),
        ("cat.stats", "anything", "catalog.values"),
        ("public.customers", "*", "pii.email"),
        ("public.orders", "*", None),
    ],
)
def test_tag(object: str, column: str, tag: str | None) -> None:
    """Own tags, those of the family, those of whole objects, and whole rows that hold a tag."""
    assert TAGS.tag(Field(object, column)) == tag


def test_the_own_tag_comes_first() -> None:
    """A partition with a tag of its own keeps it."""
    tags = Tags({EMAIL: "pii.email", Field("public.customers_2024", "email"): "x"}, family)
    assert tags.tag(Field("public.customers_2024", "email")) == "x"


def test_objects_include_families() -> None:
    """Partitions of a tagged table are tagged objects."""
    assert TAGS.objects() == KIN | {"cat.stats"}


def test_touched() -> None:
    """One tagged object is enough; nothing touches nothing."""
    assert TAGS.touched(["public.orders", "public.customers_2024"])
    assert not TAGS.touched(["public.orders"])
    assert not TAGS.touched([])


@pytest.mark.parametrize("knows", ["public.customers", "public.customers_2024"])
def test_a_one_sided_family_still_shares(knows: str) -> None:
    """If only the parent or only the child knows of the other, the child is touched and tagged all the same."""
    tags = Tags({EMAIL: "pii.email"}, lambda name: KIN if name == knows else frozenset({name}))
    assert tags.touched(["public.customers_2024"])
    assert tags.tag(Field("public.customers_2024", "email")) == "pii.email"


def test_missing_names_what_is_not_there() -> None:
    """A renamed column shows; whole-object tags have no column to miss."""
    assert TAGS.missing(lambda field: False) == (EMAIL,)
    assert TAGS.missing(lambda field: True) == ()


@pytest.mark.parametrize(
    ("prefix", "tag", "covered"), [("pii", "pii.email", True), ("pii", "pii", True), ("pi", "pii", False)]
)
def test_covers_whole_parts_only(prefix: str, tag: str, covered: bool) -> None:
    """A prefix ends at a dot."""
    assert covers(prefix, tag) is covered
