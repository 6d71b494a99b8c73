"""State that SQL keeps in a session: prepared statements and cursors by name, and what transactions do to them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from e2e.conftest import TAGS, shop
from gateway import Gateway
from servers import Postgres

Agent = psycopg.Connection[Any]


def connect(gateway: Gateway) -> Agent:
    """A connection whose statements commit by themselves."""
    return psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)


def one(agent: Agent, text: str) -> Any:
    """The first row of a statement, by the simple protocol."""
    with agent.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, prepare=False).fetchone()


def test_server_side_cursor(gateway: Gateway) -> None:
    """psycopg's named cursor reads in portions under a policy of reads alone, and masks hold in it."""
    with connect(gateway) as agent, agent.transaction(), agent.cursor("mine") as cursor:
        cursor.itersize = 100
        cursor.execute("select id, email from customers order by id")
        rows = list(cursor)
    assert len(rows) == 500
    assert not [row for row in rows if row[1].startswith("person")]


def test_cursor_with_hold(gateway: Gateway) -> None:
    """A held cursor is read after its transaction, and is masked."""
    with connect(gateway) as agent:
        with agent.transaction():
            agent.execute("declare held cursor with hold for select id, ssn from customers order by id")
        assert one(agent, "fetch 1 from held")["ssn"] != "900-12-0001"
        assert one(agent, "fetch 1 from held")["id"] == 2
        agent.execute("close held")


def test_execute_is_masked(gateway: Gateway) -> None:
    """What a prepared statement gives is masked when SQL executes it."""
    with connect(gateway) as agent:
        agent.execute("prepare who (int) as select id, email as plain from customers where id = $1")
        found = one(agent, "execute who(7)")
        assert found["id"] == 7 and "person7" not in found["plain"]
        agent.execute("deallocate who")


def test_execute_of_a_change_is_judged(gateway: Gateway, postgres: Postgres) -> None:
    """A prepared change is a change at every EXECUTE: rules on writes hold for it, and it runs where they allow it."""
    with connect(gateway) as agent:
        agent.execute("prepare note (text) as insert into log values ($1)")
        agent.execute("execute note('by name')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("execute note('[masked]')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("prepare gone as delete from orders")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("execute gone")
    assert postgres.psql("select count(*) from log where line = 'by name'", "shop_e2e") == "1"


def test_names_are_shared(gateway: Gateway) -> None:
    """SQL runs what the protocol prepared, and the protocol what SQL prepared."""
    with connect(gateway) as agent:
        agent.pgconn.prepare(b"shared", b"select id, email from customers where id = 3")
        assert one(agent, "execute shared")["email"] != "person3@mail.example"
        agent.execute("prepare other as select id, email from customers where id = 4")
        result = agent.pgconn.exec_prepared(b"other", None)
        assert result.get_value(0, 0) == b"4" and b"person4" not in (result.get_value(0, 1) or b"")


def test_a_rolled_back_cursor_is_unknown(gateway: Gateway) -> None:
    """The name of a cursor that is gone proves nothing, and fails as it would without a gateway."""
    with connect(gateway) as agent:
        agent.execute("begin; declare gone cursor with hold for select 1; rollback", prepare=False)
        with pytest.raises(psycopg.Error):
            agent.execute("fetch 1 from gone")
        assert one(agent, "select 1 as one") == {"one": 1}


def test_errors_tell_where_nothing_masked_is_touched(gateway: Gateway) -> None:
    """On a resource with masked fields, an error keeps its text as long as what ran in the transaction is harmless."""
    with connect(gateway) as agent:
        for text in ("select 1/0", "select 1; select 2; select 1/0", "begin; select 1; select 1/0"):
            with pytest.raises(psycopg.errors.DivisionByZero, match="division by zero"):
                agent.execute(text, prepare=False)
            agent.execute("rollback")
        with pytest.raises(psycopg.errors.DivisionByZero, match="withheld"):
            agent.execute("select count(email) from customers; select 1/0", prepare=False)


OWN = """
rules:
  - {id: connect, may: [connect], then: allow, for: 1h}
  - {id: work, may: [read, write], then: allow}
  - id: tables
    may: [define]
    where: {command: [create table, create table as, create view, select, drop table, alter *]}
    then: allow
  - {id: listening, may: [execute], where: {command: [listen]}, then: allow}
  - {id: no-gossip, may: [read], where: {channel: [gossip]}, then: refuse, because: "It is not for agents."}
  - {id: names, may: [administer], where: {setting: [search_path, role, session_authorization]}, then: allow}
  - {id: elsewhere, may: [read], where: {role: [auditor]}, then: refuse, because: "Not as the auditor."}
"""

OTHER = """
create schema other;
create table other.customers (id int primary key, email text);
insert into other.customers values (1, 'other@mail.example');
create schema shown;
create view shown.customers as select id, name as email, email as name from public.customers;
create role auditor;
grant usage on schema public to auditor;
grant select on all tables in schema public to auditor;
"""


@pytest.fixture(scope="module")
def free(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose policy allows temporary tables and another search path or role."""
    upstream = shop(postgres, "shop_state")
    postgres.psql(OTHER, "shop_state")
    found = Gateway(tmp_path_factory.mktemp("state") / "gw", upstream, policy=OWN, tags=TAGS)
    found.start().people()
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def masked(agent: Agent, text: str = "select email || '' as found from customers where id = 1") -> bool:
    """Whether the first value of a statement, computed from its column, is hidden."""
    value = str(one(agent, text)["found"])
    return "person" not in value and "Customer" not in value and "other@" not in value


def test_search_path(free: Gateway) -> None:
    """Names are understood by the search path of the session, and its end with the transaction is seen."""
    name = "select name || '' as found from customers where id = 1"
    with connect(free) as agent:
        assert masked(agent)
        agent.execute("set search_path = other, public")
        assert one(agent, "select email || '' as found from customers")["found"] == "other@mail.example"
        agent.execute("set search_path = shown, public")
        assert not masked(agent) and masked(agent, name)
        agent.execute("reset search_path")
        assert masked(agent) and not masked(agent, name)
        with agent.transaction(force_rollback=True):
            agent.execute("set local search_path = shown")
            assert not masked(agent) and masked(agent, name)
        assert masked(agent) and not masked(agent, name)


def test_search_path_in_one_text(free: Gateway) -> None:
    """Behind a change of the search path in the same text or batch, names are not known: it is refused."""
    with connect(free) as agent:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("set search_path = shown; select name from customers", prepare=False)
        assert not masked(agent, "select name || '' as found from customers where id = 1")


def test_search_path_and_prepared_statements(free: Gateway) -> None:
    """A prepared statement is understood by the path under which it runs."""
    with connect(free) as agent:
        agent.pgconn.prepare(b"who", b"select name || '' from customers where id = 1")
        assert agent.pgconn.exec_prepared(b"who", None).get_value(0, 0) == b"Customer 1"
        agent.execute("set search_path = shown")
        assert b"person" not in (agent.pgconn.exec_prepared(b"who", None).get_value(0, 0) or b"")


def test_pipelined_behind_a_change(free: Gateway) -> None:
    """A statement that was sent before the change was answered is judged after it."""
    with connect(free) as agent:
        agent.pgconn.enter_pipeline_mode()
        for text in ("set search_path = shown", "select name || '' as found from customers where id = 1"):
            agent.pgconn.send_query_params(text.encode(), None)
            agent.pgconn.pipeline_sync()
        agent.pgconn.flush()
        found = [agent.pgconn.get_result() for _ in range(6)]
        agent.pgconn.exit_pipeline_mode()
        values = [one.get_value(0, 0) for one in found if one is not None and one.ntuples]
    assert len(values) == 1 and b"person" not in (values[0] or b"")


def test_role(free: Gateway) -> None:
    """The role that a session acts under is a fact of its statements."""
    with connect(free) as agent:
        agent.execute("set role auditor")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="auditor"):
            agent.execute("select count(*) from orders")
        agent.execute("reset role")
        assert one(agent, "select count(*) as n from orders") == {"n": 1000}


def test_temporary_table(free: Gateway) -> None:
    """A temporary table works in and out of transactions, and is gone with what made it."""
    with connect(free) as agent:
        agent.execute("create temp table mine (a int, b text)")
        agent.execute("insert into mine values (1, 'x')")
        assert one(agent, "select a, b || '!' as b from mine where a = 1") == {"a": 1, "b": "x!"}
        agent.execute("drop table mine")
        with pytest.raises(psycopg.Error):
            agent.execute("select a from mine where a = 1")
        with agent.transaction():
            agent.execute("create temp table mine on commit drop as select id, city from customers")
            assert one(agent, "select count(*) as n from mine where city = 'Oslo'")["n"] > 100
        agent.execute("create temp table mine as select 7 as a")
        assert one(agent, "select sum(a) as n from mine where a > 0") == {"n": 7}


def test_temporary_tables_launder_nothing(free: Gateway) -> None:
    """Masked values do not get into a temporary table, nor does one hide a table with masked fields."""
    with connect(free) as agent:
        agent.execute("create temp table wash (v text)")
        for text in (
            "create temp table gone as select email from customers",
            "insert into wash select email from customers",
            "create temp table customers (id int, email text)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                agent.execute(text)


def test_definitions_inside_a_transaction(free: Gateway) -> None:
    """A migration sees what it defined in its own open transaction, masked where it shows masked fields."""
    with connect(free) as agent:
        agent.execute("begin")
        agent.execute("create table made (id int, note text)")
        agent.execute("insert into made values (1, 'x'), (2, 'y')")
        assert one(agent, "select count(*) as n, max(note) as last from made where id > 0") == {"n": 2, "last": "y"}
        assert one(agent, "select relname from pg_catalog.pg_class where relname = 'made'") == {"relname": "made"}
        agent.execute("create view seen as select id, email || '' as plain, city as email from customers")
        assert masked(agent, "select plain as found from seen where id = 1")
        assert one(agent, "select email from seen where id = 1")["email"] in ("Oslo", "Lima", "Pune")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("insert into made select id, email from customers")
        agent.execute("rollback")
        assert masked(agent)
        with pytest.raises(psycopg.Error):
            agent.execute("select id from made")


def test_renaming_inside_a_transaction(free: Gateway) -> None:
    """A migration renames what it made in its own transaction; a table with masked fields keeps its name there, too."""
    with connect(free) as agent:
        agent.execute("begin")
        agent.execute("create table authors (id int, note text)")
        agent.execute("alter table authors rename to writers")
        agent.execute("alter table writers rename column note to body")
        agent.execute("insert into writers (id, body) values (1, 'x')")
        assert one(agent, "select body from writers where id = 1") == {"body": "x"}
        for text in ("alter table customers rename to people", "alter table customers rename column email to other"):
            agent.execute("savepoint here")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="masking"):
                agent.execute(text)
            agent.execute("rollback to here")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="masking"):
            agent.execute("alter table nothing rename to something")
        agent.execute("rollback")


def test_others_stay_blind_meanwhile(free: Gateway) -> None:
    """While one session redefines a view in its transaction, another takes no flow of values for proven."""
    name = "select name || '' as found from customers where id = 1"
    with connect(free) as agent, connect(free) as other:
        agent.execute("begin")
        agent.execute("create view later as select id from customers")
        assert one(agent, "select count(*) as n from later") == {"n": 500}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            one(other, name)
        agent.execute("rollback")
        assert soon(other, name) == {"found": "Customer 1"}


def soon(agent: Agent, text: str) -> Any:
    """The first row, once this session's worker has heard from another worker that a redefinition is over."""
    end = time.monotonic() + 10
    while True:
        try:
            return one(agent, text)
        except psycopg.errors.InsufficientPrivilege:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def test_notifications(free: Gateway, postgres: Postgres) -> None:
    """A notification is an operation of its own: judged by its channel, and without its text on this resource."""
    with connect(free) as agent:
        agent.execute("listen gossip")
        agent.execute("listen news")
        before = operations(free)
        postgres.psql("notify gossip, 'person1@mail.example'; notify news, 'person1@mail.example'", "shop_state")
        told = next(agent.notifies(timeout=20))
        assert (told.channel, told.payload) == ("news", "")
    assert operations(free) >= before + 2


def operations(gateway: Gateway) -> int:
    """How many operations the newest session has."""
    sessions = gateway.call("GET", "sessions", "alice")["items"]
    return int(max(sessions, key=lambda session: session["sid"])["operations"])
