"""Which columns are masked, and which statements masks could not protect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.masking.plan import UNKNOWN, conceal, mask_returned, objection, plan
from tidegate.masking.tags import Tags
from tidegate.model.operation import Column, Facts, Output, Shape, Verb
from tidegate.model.resource import Field

KEY = bytes(32)
CUSTOMERS, ORDERS = "public.customers", "public.orders"
EMAIL, SSN, NAME = Field(CUSTOMERS, "email"), Field(CUSTOMERS, "ssn"), Field(CUSTOMERS, "city")
TOTAL = Field(ORDERS, "total")
TAGS = Tags({EMAIL: "pii.email", SSN: "pii.ssn"}, lambda name: frozenset({name}))
NONE: frozenset[str] = frozenset()
ALONE: frozenset[Field] = frozenset()


def read(**changes: Any) -> Facts:
    plain = Facts(Verb.READ, "select", "select", reads=(CUSTOMERS,), effect=False, filters=ALONE)
    return replace(plain, **changes)


def write(**changes: Any) -> Facts:
    return replace(read(), verb=Verb.WRITE, command="update", effect=True, reads=(), writes=(CUSTOMERS,), **changes)


def column(origin: Field | None = None, **changes: Any) -> Column:
    return Column("c", Shape.TEXT, origin, **changes)


def out(*sources: Field) -> Output:
    return Output("c", frozenset(sources))


def tag(asked: Column, facts: Facts, lifted: frozenset[str] = NONE) -> str | None:
    found = plan([asked], facts, TAGS, lifted, KEY)
    return found[0].tag if found and found[0] else None


@pytest.mark.parametrize(
    ("asked", "facts", "expected"),
    [
        (column(EMAIL), read(), "pii.email"),
        (column(NAME), read(), None),
        (column(), read(outputs=(out(EMAIL),)), "pii.email"),
        (column(), read(outputs=(out(NAME),)), None),
        (column(), read(outputs=(out(),)), None),
        (column(), read(outputs=(Output("c", None),)), UNKNOWN),
        (column(), read(outputs=(Output("c", None),), reads=(ORDERS,)), None),
        (column(), read(), UNKNOWN),
        (column(), read(reads=(ORDERS,)), None),
        (column(), read(reads=(ORDERS,), details={"unresolved": ["x"]}), UNKNOWN),
        (column(), read(reads=(), effect=True), UNKNOWN),
        (column(), read(reads=(), verb=Verb.UNKNOWN), UNKNOWN),
        (column(), read(outputs=(out(NAME), out(NAME))), UNKNOWN),
        (column(unknown=True), read(outputs=(out(),), reads=()), UNKNOWN),
        (column(NAME), read(outputs=(out(SSN),)), "pii.ssn"),
    ],
)
def test_a_column_is_clear_only_if_proven(asked: Column, facts: Facts, expected: str | None) -> None:
    """By its origin, by the flow into it, or by a read that touches nothing tagged."""
    assert tag(asked, facts) == expected


def test_only_a_fields_own_value_gets_a_pseudonym() -> None:
    """A column computed from an address is masked whole, without one."""
    own, computed = (plan([asked], read(outputs=(out(EMAIL),)), TAGS, NONE, KEY) for asked in (column(EMAIL), column()))
    assert own and own[0] and (own[0].transform(b"x") or b"").startswith(b"[masked:email ")
    assert computed and computed[0] and computed[0].transform(b"x") == b"[masked:email]"


def test_masks_are_counted_by_field() -> None:
    """The label is the base field, or the column when no field is known."""
    found = plan([column(EMAIL), column()], read(), TAGS, NONE, KEY)
    assert [masking.field for masking in found or () if masking] == ["public.customers.email", "c"]


def test_a_clear_result_has_no_plan() -> None:
    """Rows without masks pass untouched."""
    assert plan([column(NAME)], read(), TAGS, NONE, KEY) is None
    assert plan([], read(), TAGS, NONE, KEY) is None


@pytest.mark.parametrize(("lifted", "expected"), [("pii.email", None), ("pii", None), ("pii.ssn", "pii.email")])
def test_only_a_lifted_tag_is_clear(lifted: str, expected: str | None) -> None:
    """A tag is lifted by its name or by what it begins with."""
    assert tag(column(EMAIL), read(), frozenset({lifted})) == expected


FIELDS = st.sampled_from([EMAIL, SSN, NAME, TOTAL])
OUTPUTS = st.lists(st.builds(Output, st.just("c"), st.none() | st.frozensets(FIELDS)), max_size=4).map(tuple)
COLUMNS = st.lists(st.builds(Column, st.just("c"), st.sampled_from(list(Shape)), st.none() | FIELDS), max_size=4)
LIFTED = st.frozensets(st.sampled_from(["pii", "pii.email", "pii.ssn", "other"]))


@given(COLUMNS, OUTPUTS, st.booleans(), LIFTED)
def test_no_tagged_source_is_ever_clear(
    columns: list[Column], outputs: tuple[Output, ...], effect: bool, lifted: frozenset[str]
) -> None:
    """Wherever a tagged field is an origin or a known source, or anything is unknown, there is a mask."""
    found = plan(columns, read(outputs=outputs, effect=effect), TAGS, lifted, KEY) or [None] * len(columns)
    hidden = {f for f, t in ((EMAIL, "pii.email"), (SSN, "pii.ssn")) if not {t, "pii"} & lifted}
    followed = len(outputs) == len(columns)
    for index, (asked, masking) in enumerate(zip(columns, found, strict=True)):
        sources = outputs[index].sources if followed else None
        unproven = asked.origin is None and sources is None
        if asked.origin in hidden or hidden & (sources or frozenset()) or unproven:
            assert masking is not None


def objects(facts: Facts, lifted: frozenset[str] = NONE, parameters: bytes = b"") -> bool:
    return (objection(facts, TAGS, lifted) or mask_returned(facts, parameters)) is not None


@pytest.mark.parametrize(
    ("facts", "objected"),
    [
        (read(), False),
        (read(filters=frozenset({NAME})), False),
        (read(filters=frozenset({EMAIL})), True),
        (read(filters=None), True),
        (read(filters=None, reads=(ORDERS,)), False),
        (read(filters=None, reads=(), details={"unresolved": ["x"]}), True),
        (read(filters=None, reads=(), verb=Verb.UNKNOWN, details={"unresolved": ["*"]}), False),
        (write(flows=frozenset({(EMAIL, NAME)})), True),
        (write(flows=frozenset({(EMAIL, TOTAL)})), True),
        (write(flows=frozenset({(EMAIL, SSN)})), False),
        (write(flows=frozenset({(NAME, TOTAL)})), False),
        (write(flows=None), True),
        (replace(write(flows=None), writes=(ORDERS,)), False),
        (read(bulk=True, outputs=(out(NAME),)), False),
        (read(bulk=True, outputs=(out(NAME), out(EMAIL))), True),
        (read(bulk=True, outputs=(Output("c", None),)), True),
        (read(bulk=True, outputs=None), True),
        (read(bulk=True, outputs=None, reads=(ORDERS,)), False),
        (write(text="update c set email = '[masked:email 3f9a12c4]'"), True),
        (read(text="select '[masked:email]'"), False),
    ],
)
def test_what_masks_cannot_protect_is_refused(facts: Facts, objected: bool) -> None:
    """Predicates on, copies of and bulk output with tagged fields, and masks that come back."""
    assert objects(facts) is objected


def test_a_mask_in_a_parameter_is_refused_on_a_write() -> None:
    """Bound values count like the text."""
    assert objects(write(), parameters=b"..[masked:ssn]..")
    assert not objects(read(), parameters=b"..[masked:ssn]..")


def test_lifted_fields_may_be_used_but_not_as_a_hiding_place() -> None:
    """A lifted tag may be filtered by; a masked value may not be copied to where it would be readable."""
    assert not objects(read(filters=frozenset({EMAIL})), frozenset({"pii.email"}))
    assert objects(write(flows=frozenset({(SSN, EMAIL)})), frozenset({"pii.email"}))


def test_reasons_name_no_field() -> None:
    """Columns behind a view are not the agent's to know."""
    reason = objection(read(filters=frozenset({EMAIL})), TAGS, NONE)
    assert reason and "email" not in reason


@pytest.mark.parametrize(
    ("facts", "concealed"),
    [
        (read(), True),
        (read(reads=(ORDERS,)), False),
        (read(reads=(), details={"unresolved": ["x"]}), True),
        (read(reads=(), verb=Verb.UNKNOWN), True),
        (read(reads=(), verb=Verb.EXECUTE), True),
        (read(reads=(), details={"verbs": ["read", "unknown"]}), True),
        (replace(write(), writes=("public.addresses",)), True),
        (replace(write(), writes=(ORDERS,)), False),
    ],
)
def test_errors_are_reduced_when_they_could_name_values(facts: Facts, concealed: bool) -> None:
    """Directly, through a neighbour by foreign key, or when nobody knows what is touched."""
    neighbours = {"public.addresses": frozenset({"public.addresses", CUSTOMERS})}
    assert conceal(facts, TAGS, lambda name: neighbours.get(name, frozenset({name}))) is concealed
