"""What masks cannot cover: errors, nulls, row counts, side channels, and names that change their meaning."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from gateway import Gateway

ORACLES = [
    "select case when email like 'person7%' then 1 / 0 else 1 end from customers where id = 7",
    "select case when email like 'q%' then 'x' end from customers where id = 7",
    "select nullif(substr(email, 1, 1), 'p') from customers where id = 7",
    "select generate_series(1, ascii(email)) from customers where id = 7",
    "select count(*) from customers c, generate_series(1, ascii(c.email)) where c.id = 7",
    "select 1 / (ascii(email) - 112) from customers where id = 7",
    "select pg_advisory_lock(ascii(email)) from customers where id = 7",
    "select pg_notify('x', email) from customers where id = 7",
    "select set_config('application_name', email, false) from customers where id = 7",
    "select count(*) from ts_stat('select to_tsvector(email) from customers where id = 7')",
    "update pg_settings set setting = 'x' where name = 'search_path'",
    "alter table customers rename column email to other",
    "alter table customers add check (email not like 'person7@%')",
    "create index on customers ((1 / (ascii(email) - 112)))",
    "create temp table customers (id int, email text)",
    "set statement_timeout = '0ms'",
]


@pytest.fixture(scope="module")
def agent(gateway: Gateway) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """One agent's connection for the whole file: refusals must not end it."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("text", ORACLES)
def test_refused(agent: psycopg.Connection[tuple[object, ...]], text: str) -> None:
    """What would spell a masked value without showing it is refused, and the session goes on."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        agent.execute(text.encode(), prepare=False)
    assert agent.execute("select 1").fetchone() == (1,)


def test_a_prepared_name_that_sql_rebinds(gateway: Gateway) -> None:
    """A name prepared by the protocol and made anew by SQL runs as what it now stands for."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        agent.pgconn.prepare(b"p", b"select upper(city) from customers where id = 7")
        agent.pgconn.exec_(b"deallocate p")
        agent.pgconn.exec_(b"prepare p as select email || '' from customers where id = 7")
        result = agent.pgconn.exec_prepared(b"p", [])
        assert result.ntuples == 1 and b"person7" not in (result.get_value(0, 0) or b"")


def test_a_portal_that_sql_redeclares(gateway: Gateway) -> None:
    """The same for a cursor under the name of a portal."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        agent.execute("begin")
        agent.execute("declare c cursor for select email || '' from customers where id = 7", prepare=False)
        found = agent.execute("fetch c", prepare=False).fetchone()
        assert found and "person7" not in str(found[0])


def test_a_chain_that_would_exhaust_the_stack(gateway: Gateway) -> None:
    """A statement of half a million operators is refused, and the gateway is still there."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute(b"select 1" + b"+1" * 450_000, prepare=False)
        assert agent.execute("select 1").fetchone() == (1,)
