"""One gateway before one seeded shop, shared by the end-to-end tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import Gateway, Upstream
from servers import Postgres

SHOP = """
create table customers (
  id int primary key, name text, email text, ssn text, card text, born date, city text, notes text);
insert into customers select i, 'Customer ' || i, 'person' || i || '@mail.example', '900-12-' || lpad(i::text, 4, '0'),
  '4111111111111111', date '1970-01-01' + i, (array['Oslo','Lima','Pune'])[1 + i % 3], 'call me at 555-01' || i
  from generate_series(1, 500) i;
create table orders (
  id int primary key, customer int references customers (id), total numeric(10,2), placed timestamptz);
insert into orders select i, 1 + i % 500, i * 1.5, timestamptz '2026-01-01' + i * interval '1 hour'
  from generate_series(1, 1000) i;
create view contacts as select id, email as address, city from customers;
create table log (line text);
create function count_orders() returns bigint language sql stable as 'select count(*) from orders';
"""

TAGS = {
    "pii.email": ["public.customers.email"],
    "pii.ssn": ["public.customers.ssn"],
    "pii.card": ["public.customers.card"],
    "pii.dob": ["public.customers.born"],
    "pii.notes": ["public.customers.notes"],
}


def shop(server: Postgres, database: str) -> Upstream:
    """A database with the shop in it."""
    server.psql(f"drop database if exists {database} with (force)")
    server.psql(f"create database {database}")
    server.psql(SHOP, database)
    return Upstream("127.0.0.1", server.port, database, server.user, server.password)


@pytest.fixture(scope="session")
def gateway(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with alice (administrator), bob (dba), and alice's agent claude-code.

    Whatever the tests did to it, its log must verify in the end.
    """
    directory: Path = tmp_path_factory.mktemp("e2e")
    found = Gateway(directory / "gw", shop(postgres, "shop_e2e"), tags=TAGS)
    found.start().people()
    yield found
    assert found.stop() == 0
    assert found.verify() == 0
