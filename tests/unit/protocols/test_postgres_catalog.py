"""Reading a real server's catalog, recorded first and within limits."""

from __future__ import annotations

import asyncio

import pytest

from servers import Postgres
from tidegate.errors import ResourceError
from tidegate.model.resource import Address, Field, Resource
from tidegate.model.secret import Credential
from tidegate.operations.catalog import QUERIES
from tidegate.protocols import postgres_catalog
from tidegate.protocols.postgres_catalog import Schema, gateway_query, load, session


@pytest.fixture
def shop(postgres: Postgres) -> Resource:
    """A resource on the shared server."""
    return Resource("shop", "postgres", Address("127.0.0.1", postgres.port), "postgres", postgres.user)


def loaded(shop: Resource, postgres: Postgres) -> tuple[Schema, list[str]]:
    """The catalog, and what was recorded."""
    recorded: list[str] = []
    return asyncio.run(load(shop, "postgres", Credential(shop.user, postgres.password), recorded.append)), recorded


def test_load(shop: Resource, postgres: Postgres) -> None:
    """A catalog knows the server's own relations, and every look-up was recorded."""
    schema, recorded = loaded(shop, postgres)
    assert schema.has(Field("pg_catalog.pg_class", "relname")) and not schema.has(Field("public.none", "x"))
    assert set(QUERIES.values()) <= set(recorded)


def test_columns(shop: Resource, postgres: Postgres) -> None:
    """A result column's numbers lead to its field; what the catalog does not know is said to be unknown."""
    schema, _ = loaded(shop, postgres)
    assert schema.column(1259, 2) == (Field("pg_catalog.pg_class", "relname"), False)
    assert schema.column(99_999_999, 1) == (None, True)


def test_values_are_tagged(shop: Resource, postgres: Postgres) -> None:
    """Catalogs that hold values are sensitive from the start."""
    assert loaded(shop, postgres)[0].always[Field("pg_catalog.pg_stats", "*")] == "catalog.values"


def ask(shop: Resource, postgres: Postgres, *texts: str) -> list[list[str | None]]:
    """The rows of the last of ``texts``."""

    async def asked() -> list[list[str | None]]:
        rows: list[list[str | None]] = []
        async with session(shop, "postgres", Credential(shop.user, postgres.password)) as stream:
            for text in texts:
                rows = await gateway_query(stream, text, lambda text: None)
        return rows

    return asyncio.run(asked())


def test_rows_as_text(shop: Resource, postgres: Postgres) -> None:
    """Rows come as text, null as None."""
    assert ask(shop, postgres, "select 1, null, 'é'") == [["1", None, "é"]]


def test_own_connection_cannot_write(shop: Resource, postgres: Postgres) -> None:
    """The gateway's own connection is read-only, and an error names no details."""
    with pytest.raises(ResourceError, match="25006"):
        ask(shop, postgres, "create table gateway_wrote (x int)")


def test_too_many_rows(shop: Resource, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog beyond the limits is refused, not held."""
    monkeypatch.setattr(postgres_catalog, "ROWS", 10)
    with pytest.raises(ResourceError, match="too large"):
        ask(shop, postgres, "select generate_series(1, 100)")


def test_record_comes_first(shop: Resource, postgres: Postgres) -> None:
    """If recording fails, the look-up is not sent."""

    def broken(text: str) -> None:
        raise ResourceError("no log")

    with pytest.raises(ResourceError, match="no log"):
        asyncio.run(load(shop, "postgres", Credential(shop.user, postgres.password), broken))


@pytest.mark.parametrize(
    ("begin", "inside", "firm"),
    [
        ("begin", True, True),
        ("begin isolation level repeatable read", True, False),
        ("begin isolation level serializable", True, False),
        ("set default_transaction_isolation = serializable", False, True),
    ],
)
def test_an_old_snapshot_is_not_firm(shop: Resource, postgres: Postgres, begin: str, inside: bool, firm: bool) -> None:
    """A transaction that keeps its snapshot does not see what others redefine, though it would run that."""
    schema, _ = loaded(shop, postgres)
    questions = schema.definitions(schema.classify("select count(*) from pg_class"))

    async def asked() -> list[list[list[bytes | None]]]:
        async with session(shop, "postgres", Credential(shop.user, postgres.password)) as stream:
            await gateway_query(stream, begin, lambda text: None)
            rows = [await gateway_query(stream, text, lambda text: None) for text in questions]
            return [[[cell if cell is None else cell.encode() for cell in row] for row in found] for found in rows]

    assert schema.firm(asyncio.run(asked()), inside=inside) is firm
