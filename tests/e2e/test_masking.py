"""Masked values never leave, however they are asked for."""

from __future__ import annotations

import time

import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

SECRETS = ("@mail.example", "900-12-", "4111111111111111", "call me at", "1970-01", "1971-0")

READS = [
    "select * from customers",
    "select c.* from customers c",
    "select email as city, ssn as id from customers",
    "select upper(email), length(ssn) || '', substr(card, 1, 4) || substr(card, 5) from customers",
    "select email || '' from customers",
    "select x from (select email as x from customers) s",
    "with t as (select ssn as harmless from customers) select harmless from t",
    "with recursive t as (select email as e, 1 as n from customers where id = 1"
    " union all select e, n + 1 from t where n < 3) select e from t",
    "select email from customers union all select city from customers",
    "select row_to_json(c) from customers c",
    "select c from customers c",
    "select to_jsonb(c) from customers c",
    "select array_agg(email) from customers",
    "select string_agg(ssn, ',') from customers",
    "select max(email), min(born) from customers",
    "select case when id > 0 then email else 'x' end from customers",
    "select coalesce(null, card) from customers",
    "select (select email from customers where id = 1)",
    "select l.e from customers c, lateral (select c.email as e) l",
    "select address from contacts",
    "select * from contacts",
    "table customers",
    "select first_value(email) over (order by id) from customers",
    "select born, born + 1, extract(year from born) || '-' || to_char(born, 'MM') from customers",
    "select unnest(array[email, ssn]) from customers",
    "select xmlforest(email) from customers",
    "select customers.email::bytea from customers",
    "select format('%s', notes) from customers",
    "select (c).email from customers c",
    "select row(c.*)::text from customers c",
    "values ((select email from customers limit 1))",
    "explain (verbose) select email from customers",
]  # fmt: skip

REFUSED = [
    "select id from customers where email = 'person7@mail.example'",
    "select id from customers where ssn like '900-12-0007'",
    "select id from customers order by email",
    "select count(*) from customers group by ssn",
    "select count(*) from customers having max(card) > '4'",
    "select o.id from orders o join customers c on c.email = o.total::text",
    "select count(*) filter (where email like 'p%') from customers",
    "select distinct email from customers",
    "copy customers to stdout",
    "copy (select email from customers) to stdout",
    "insert into log select email from customers",
    "update log set line = (select ssn from customers where id = 1) where line = 'x'",
    "create table stolen as select * from customers",
    "select email into stolen from customers",
    "create temp table t as select ssn from customers",
    "select query_to_xml('select * from customers', true, true, '')",
    "select * from pg_authid",
]


@pytest.fixture(scope="module")
def agent(gateway: Gateway) -> object:
    """One agent's connection for the whole file: refusals must not end it."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("text", READS)
def test_no_clear_value(agent: psycopg.Connection[tuple[object, ...]], text: str, binary: bool) -> None:
    """No marker of a tagged column appears in any result, whether it succeeds or is refused."""
    seen = raw(agent, text, binary)
    assert not [marker for marker in SECRETS if marker.encode() in seen], seen[:500]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(agent: psycopg.Connection[tuple[object, ...]], text: str) -> None:
    """What would tell or move tagged values is refused, and the session goes on."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        agent.execute(text, prepare=False)
    assert agent.execute("select 1").fetchone() == (1,)


def test_masked_and_clear_side_by_side(agent: psycopg.Connection[tuple[object, ...]]) -> None:
    """Untagged columns stay clear, tagged ones carry a mask that says what it hides, equal values equal masks."""
    rows = agent.execute(
        "select id, city, email, card, born, upper(city), count(*) over () from customers where id < 4"
    ).fetchall()
    assert [row[:2] for row in rows] == [(1, "Lima"), (2, "Pune"), (3, "Oslo")]
    assert all(
        str(row[2]).startswith("[masked:email ") and row[3] == "[masked:card]" and row[4] is None for row in rows
    )
    assert [row[5:] for row in rows] == [("LIMA", 3), ("PUNE", 3), ("OSLO", 3)]
    again = agent.execute("select email from customers where id = 1").fetchone()
    assert again is not None and again[0] == rows[0][2]


def test_a_mask_is_not_accepted_back(agent: psycopg.Connection[tuple[object, ...]]) -> None:
    """Writing a mask where a value belongs is refused, as text and as a parameter."""
    for text, parameters in (
        ("insert into log values ('[masked:card]')", None),
        ("insert into log values (%s)", ["[masked:card]"]),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute(text, parameters)


def test_errors_are_reduced(agent: psycopg.Connection[tuple[object, ...]]) -> None:
    """An error of a statement that touches tagged data keeps its SQLSTATE and loses its values."""
    with pytest.raises(psycopg.Error) as caught:
        agent.execute("insert into customers (id, email) select 7, email from customers where id = 7")
    assert caught.value.sqlstate == "23505" and "person7" not in str(caught.value)
    with pytest.raises(psycopg.errors.UniqueViolation) as doubled:
        agent.execute("insert into customers (id, email) values (7, 'someone@mail.example')")
    assert "withheld" in str(doubled.value)


def test_catalogs_with_values(agent: psycopg.Connection[tuple[object, ...]]) -> None:
    """Statistics of the planner hold column values; they do not show them."""
    assert not any(marker.encode() in raw(agent, "select * from pg_stats", False) for marker in SECRETS)


def raw(agent: psycopg.Connection[tuple[object, ...]], text: str, binary: bool) -> bytes:
    """Every byte of a result, undecoded; of a refusal, its text."""
    result = agent.pgconn.exec_params(text.encode(), [], result_format=int(binary))
    cells = [result.get_value(row, column) or b"" for row in range(result.ntuples) for column in range(result.nfields)]
    return b"\n".join([*cells, result.error_message])


def test_a_view_replaced_by_another_session(gateway: Gateway, postgres: Postgres) -> None:
    """While another session may have replaced a view, nothing of it is taken for proven; afterwards it is read anew."""
    postgres.psql("create view open_view as select city as c from customers", "shop_e2e")
    with (
        psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as reader,
        psycopg.connect(gateway.dsn(gateway.token())) as writer,
    ):
        clear, until = b"", time.monotonic() + 30
        while clear not in (b"Oslo", b"Lima", b"Pune"):  # a view made elsewhere is unknown until names are read again
            assert time.monotonic() < until, clear
            time.sleep(0.2)
            clear = raw(reader, "select c from open_view where c is not null limit 1", False).strip()
        writer.execute("create table scratch (n int)")
        postgres.psql("create or replace view open_view as select email as c from customers", "shop_e2e")
        writer.commit()
        seen = b"".join(raw(reader, "select c from open_view", False) for _ in range(20))
    assert b"@mail.example" not in seen
    postgres.psql("drop view open_view; drop table scratch", "shop_e2e")
