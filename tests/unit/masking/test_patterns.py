"""Tags by patterns, where an upstream has no catalog."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.masking.patterns import KEPT, LONGEST, PatternTags
from tidegate.model.resource import Field

TAGS = PatternTags(
    {
        Field("0/user:*", "email"): "pii.email",
        Field("0/card:*:no", "*"): "pii.card",
        Field("GET /users/{id}", "$.email"): "pii.email",
        Field("GET /orders*", "$.items[*].buyer"): "pii.name",
        Field("GET /any", "$..phone"): "pii.phone",
    },
    lambda _: frozenset(),
)


@pytest.mark.parametrize(
    ("object", "name", "tag"),
    [
        ("0/user:7", "email", "pii.email"),
        ("0/user:", "email", "pii.email"),
        ("0/user:7\n8", "email", "pii.email"),
        ("0/user:7", "mail", None),
        ("0/user:7", "*", "pii.email"),
        ("1/user:7", "email", None),
        ("0/User:7", "email", None),
        ("x0/user:7", "email", None),
        ("0/card:1:2:no", "anything", "pii.card"),
        ("0/card:1:nox", "anything", None),
        ("GET /users/{id}", "$.email", "pii.email"),
        ("GET /users/{id}", "$.email.work", "pii.email"),
        ("GET /users/{id}", "$.email[*]", "pii.email"),
        ("GET /users/{id}", "$.emails", None),
        ("GET /users/{id}", "$.a.email", None),
        ("GET /users/7", "$.email", None),
        ("GET /orders/7", "$.items[*].buyer", "pii.name"),
        ("GET /orders/7", "$.items[3].buyer.first", "pii.name"),
        ("GET /orders/7", "$.items.buyer", None),
        ("GET /any", "$.phone", "pii.phone"),
        ("GET /any", "$.a.b[*].phone", "pii.phone"),
        ("GET /any", "$.a.telephone", None),
    ],
)
def test_tag(object: str, name: str, tag: str | None) -> None:
    """A pattern matches a whole name, and a JSON path all that lies beneath it."""
    assert TAGS.tag(Field(object, name)) == tag


def test_objects_are_touched_by_pattern() -> None:
    """Any tagged field of an object is enough."""
    assert TAGS.touched(("0/other", "0/user:1"))
    assert not TAGS.touched(("0/other", "2/user:1"))
    assert TAGS.missing(lambda _: False) == ()


def test_what_is_too_long_to_compare_counts_as_tagged() -> None:
    """A name of a megabyte must not slip through, nor take long."""
    long = "9/" + "x" * LONGEST
    assert TAGS.touched((long,))
    assert TAGS.tag(Field(long, "any")) is not None


def test_answers_are_remembered_within_limits() -> None:
    """An agent may ask for any number of objects."""
    for number in range(2 * KEPT + 10):
        TAGS.tag(Field(f"0/k:{number}", "v"))
        TAGS.touched((f"0/k:{number}",))
    assert len(TAGS._found) <= KEPT
    assert len(TAGS._touched) <= KEPT


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_pattern_matches_itself(object: str, name: str) -> None:
    """Whatever characters a pattern holds, they stand for themselves, and only ``*`` for others."""
    tags = PatternTags({Field(object, name.replace("$", "")): "t"}, lambda _: frozenset())
    assert tags.tag(Field(object.replace("*", "abc"), name.replace("$", "").replace("*", "abc"))) == "t"
