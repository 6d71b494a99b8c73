"""The catalog as built from real servers."""

from __future__ import annotations

import psycopg
import pytest

from tidegate.model.resource import Field
from tidegate.operations.catalog import HOLDS_SECRETS, HOLDS_VALUES, VALUE_FIELDS, Catalog


def oid(database: psycopg.Connection, name: str) -> int:
    """The oid the server gives a relation."""
    row = database.execute("SELECT %s::regclass::oid::int8", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def test_names_resolve_on_the_search_path(catalog: Catalog) -> None:
    """A bare name is found where the server would find it, a qualified one only there."""
    assert (found := catalog.resolve(None, "customers")) is not None and found.object == "public.customers"
    assert (system := catalog.resolve(None, "pg_class")) is not None and system.kind == "system"
    assert catalog.resolve("pg_catalog", "customers") is None


def test_the_path_begins_with_what_the_server_searches_first(catalog: Catalog) -> None:
    """pg_catalog is searched before public unless the path says otherwise."""
    assert catalog.path == ("pg_catalog", "public")


@pytest.mark.parametrize(
    ("name", "attribute", "field"),
    [
        ("customers", 2, Field("public.customers", "email")),
        ("customers", -1, Field("public.customers", "ctid")),
        ("parted_low", 2, Field("public.parted_low", "email")),
        ("customers", 99, None),
        ("contacts", 1, None),
        ("stored", 1, None),
    ],
)
def test_fields_by_number(
    catalog: Catalog, database: psycopg.Connection, name: str, attribute: int, field: Field | None
) -> None:
    """A result's numbers give the base column; a view's give none, nor do unknown ones."""
    assert catalog.field(oid(database, name), attribute) == field


def test_an_unknown_oid_is_nothing(catalog: Catalog) -> None:
    """What is not in the catalog is None, never a guess."""
    assert catalog.relation(1) is None
    assert catalog.field(1, 1) is None


def test_partitions_are_one_family(catalog: Catalog) -> None:
    """Parent and partition share tags, whichever is asked."""
    both = {"public.parted", "public.parted_low"}
    assert catalog.family("public.parted") == catalog.family("public.parted_low") == both
    assert catalog.family("public.customers") == {"public.customers"}


def test_errors_reach_foreign_keys_both_ways(catalog: Catalog) -> None:
    """A write to either side of a foreign key may fail with the other's values."""
    assert "public.orders" in catalog.reach("public.customers")
    assert "public.customers" in catalog.reach("public.orders")


def test_triggers_make_a_table_reactive(catalog: Catalog) -> None:
    """Users' triggers count; those that foreign keys make do not."""
    assert [catalog.resolve("public", name).reactive for name in ("copies", "orders")] == [True, False]  # type: ignore[union-attr]


def test_user_defined_names_are_known(catalog: Catalog) -> None:
    """Functions, operators and types of users are listed, built-ins are not."""
    assert {("public", "spy"), ("public", "upper")} <= catalog.functions
    assert ("public", "@#@") in catalog.operators
    assert catalog.types[("public", "mood")] == "e"
    assert not any(schema == "pg_catalog" for schema, _ in catalog.functions)


@pytest.mark.parametrize("name", sorted({*HOLDS_VALUES, *HOLDS_SECRETS} - {"public.pg_stat_statements"}))
def test_the_lists_of_sensitive_catalogs_name_real_ones(catalog: Catalog, name: str) -> None:
    """No name on the lists is a misspelling (pg_ident_file_mappings and the like exist since 15)."""
    assert catalog.resolve(*name.split(".")) is not None


@pytest.mark.parametrize("field", sorted(VALUE_FIELDS))
def test_the_list_of_sensitive_fields_names_real_ones(catalog: Catalog, field: Field) -> None:
    """Every single field tagged from the start exists."""
    assert field.name in catalog.resolve(*field.object.split(".")).columns  # type: ignore[union-attr]


def test_a_missing_look_up_is_an_error(catalog: Catalog) -> None:
    """A catalog is never built from half the answers."""
    with pytest.raises(KeyError):
        Catalog.build({"relations": []})
