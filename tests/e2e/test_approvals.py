"""What an approval covers: exactly what was asked, with what it meant then, once, from whichever session."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from e2e.conftest import shop
from gateway import POLICY, Gateway
from servers import Postgres

Agent = psycopg.Connection[Any]

RULES = (
    POLICY.replace("    within: 60s\n", "    within: 60s\n    patience: 8s\n", 1)
    + """
  - id: own-settings
    may: [administer]
    where: {setting: [search_path, role]}
    then: allow
  - id: raising
    may: [execute]
    where: {functions: ["*raise_all"]}
    then: hold
    approvers: {groups: [dba], count: 1}
    within: 60s
    patience: 8s
  - id: functions
    may: [define]
    where: {command: [create function, create schema]}
    then: allow
  - id: two-rules
    may: [write]
    where: {objects: [public.log], unbounded: true}
    then: hold
    approvers: {groups: [dba, audit], count: 1}
    within: 60s
"""
)

OTHER = """
create schema other;
create table other.orders (id int, customer int, total numeric(10,2), placed timestamptz);
create function other.raise_all() returns bigint language sql as 'select 0::bigint';
create function markup(numeric) returns numeric language sql immutable as 'select $1';
create function raise_all() returns bigint language sql as
  'update public.orders set total = public.markup(total); select count(*) from public.orders';
create role overseer;
grant usage on schema public, other to overseer;
grant all on all tables in schema public, other to overseer;
grant overseer to current_user;
"""

BULK = "select raise_all()"
BULK_UPDATE = "update orders set total = total + 0"


@pytest.fixture(scope="module")
def desk(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose policy holds bulk writes and lets agents change what names mean."""
    upstream = shop(postgres, "shop_approvals")
    postgres.psql(OTHER, "shop_approvals")
    found = Gateway(tmp_path_factory.mktemp("approvals") / "gw", upstream, policy=RULES)
    found.start().people()
    found.person("dora", ["dba", "audit"])
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def connect(gateway: Gateway) -> Agent:
    """An agent's connection whose statements commit by themselves."""
    return psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)


def ask(agent: Agent, pool: ThreadPoolExecutor, text: str = BULK) -> Future[str | None]:
    """Send a statement that will be held."""
    answer = pool.submit(lambda: agent.execute(text).statusmessage)
    time.sleep(0.2)
    if answer.done():
        answer.result()  # it was not held: say why
    return answer


def waiting(gateway: Gateway, by: str = "bob") -> dict[str, Any]:
    """The one question that waits."""
    end = time.monotonic() + 8
    while time.monotonic() < end:
        found = gateway.call("GET", "approvals", by)["items"]
        if found:
            assert len(found) == 1
            return dict(gateway.call("GET", f"approvals/{found[0]['id']}", by))
        time.sleep(0.02)
    raise AssertionError("nothing waits")


def approve(gateway: Gateway, id: str, by: str = "bob") -> dict[str, Any]:
    """One yes."""
    return dict(gateway.call("POST", f"approvals/{id}/approve", by))


CHANGES = [
    "create or replace function markup(numeric) returns numeric language sql immutable as 'select $1 * 2'",
    "create or replace function public.markup(numeric) returns numeric language sql volatile as 'select $1'",
    "alter table orders add column sneaked int",
    "create trigger sneaked before update on orders for each row execute function suppress_redundant_updates_trigger()",
    "create rule sneaked as on update to orders do also delete from log",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_definition_changed_meanwhile_voids_it(desk: Gateway, postgres: Postgres, change: str) -> None:
    """Whatever the statement resolves to is asked again just before it would run; another answer ends the approval."""
    before = postgres.psql("select sum(total) from orders", "shop_approvals")
    with ThreadPoolExecutor() as pool, connect(desk) as agent:
        answer = ask(agent, pool)
        id = waiting(desk)["id"]
        postgres.psql(change, "shop_approvals")
        approve(desk, id)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="changed since it was asked"):
            answer.result(20)
        assert agent.execute("select 1").fetchone() == (1,)
    assert postgres.psql("select sum(total) from orders", "shop_approvals") == before
    postgres.psql("drop trigger if exists sneaked on orders; drop rule if exists sneaked on orders", "shop_approvals")


def test_data_changed_meanwhile_does_not(desk: Gateway, postgres: Postgres) -> None:
    """Rows, statistics and an index may change: the statement still means what was approved."""
    with ThreadPoolExecutor() as pool, connect(desk) as agent:
        answer = ask(agent, pool)
        id = waiting(desk)["id"]
        postgres.psql("insert into log values ('x'); analyze orders; vacuum orders", "shop_approvals")
        approve(desk, id)
        assert answer.result(20) == "SELECT 1"


TURNS = ["set search_path = other, public", "set role overseer"]


@pytest.mark.parametrize("turn", TURNS)
def test_another_session_in_another_state_asks_anew(desk: Gateway, turn: str) -> None:
    """A yes for one session's meaning of a statement is none for another's, under another path or role."""
    with ThreadPoolExecutor() as pool, connect(desk) as first, connect(desk) as second:
        answer = ask(first, pool)
        asked = waiting(desk)
        second.execute(turn)
        other = ask(second, pool)
        end = time.monotonic() + 20
        while len(found := desk.call("GET", "approvals", "bob")["items"]) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert len({each["digest"] for each in found}) == 2
        for each in found:
            if each["id"] != asked["id"]:
                desk.call("POST", f"approvals/{each['id']}/refuse", "bob", reason="another thing")
        with pytest.raises(psycopg.Error, match="another thing"):
            other.result(20)
        approve(desk, asked["id"])
        assert answer.result(20) == "SELECT 1"


def test_a_temporary_table_is_each_sessions_own(desk: Gateway) -> None:
    """It cannot take the place of a table, and a yes for one session's is none for another's of the same name."""
    text = "update mine set total = 1"
    with ThreadPoolExecutor() as pool, connect(desk) as first, connect(desk) as second:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            first.execute("create temporary table orders (id int, total numeric)")
        for agent in (first, second):
            agent.execute("create temporary table mine (total numeric)")
            agent.execute("insert into mine values (0)")
        answer = ask(first, pool, text)
        approve(desk, waiting(desk)["id"])
        assert answer.result(20) == "UPDATE 1"
        again = ask(first, pool, text)
        asked = waiting(desk)
        other = ask(second, pool, text)
        end = time.monotonic() + 8
        while len(found := desk.call("GET", "approvals", "bob")["items"]) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert len({each["digest"] for each in found}) == 2
        approve(desk, asked["id"])
        assert again.result(20) == "UPDATE 1"
        (left,) = (each["id"] for each in found if each["id"] != asked["id"])
        desk.call("POST", f"approvals/{left}/refuse", "bob", reason="another table")
        with pytest.raises(psycopg.Error, match="another table"):
            other.result(20)


def test_a_retry_runs_once_from_another_session(desk: Gateway) -> None:
    """Who does not wait asks again: exactly the same then runs, once."""
    impatient = desk.dsn(desk.token())
    with ThreadPoolExecutor() as pool:
        with psycopg.connect(impatient, autocommit=True) as first:
            answer = ask(first, pool, BULK_UPDATE)
            id = waiting(desk)["id"]
            with pytest.raises(psycopg.Error, match=id):
                answer.result(60)  # the rule's patience is 8 s
            assert approve(desk, id)["state"] == "approved"
        with connect(desk) as second:
            assert second.execute(BULK_UPDATE).statusmessage == "UPDATE 1000"
            again = ask(second, pool, BULK_UPDATE)
            fresh = waiting(desk)
            assert fresh["id"] != id
            desk.call("POST", f"approvals/{fresh['id']}/refuse", "bob", reason="once only")
            with pytest.raises(psycopg.Error, match="once only"):
                again.result(20)


def test_two_rules_need_two_people(desk: Gateway) -> None:
    """Somebody of both groups counts for one of two rules."""
    with ThreadPoolExecutor() as pool, connect(desk) as agent:
        answer = ask(agent, pool, "update log set line = line")
        id = waiting(desk)["id"]
        assert approve(desk, id, "dora")["state"] == "waiting"
        said = refused(desk, f"approvals/{id}/approve", "dora")
        assert said["code"] == "approval.repeated"
        assert approve(desk, id, "bob")["state"] == "approved"
        assert str(answer.result(20)).startswith("UPDATE")


def refused(gateway: Gateway, path: str, by: str, **body: Any) -> dict[str, Any]:
    """The problem that a call ends with."""
    with pytest.raises(AssertionError) as caught:
        gateway.call("POST", path, by, **body)
    found = re.search(r"\{.*\}", str(caught.value))
    assert found
    return dict(httpx2.Response(400, text=found.group()).json())


def test_a_snapshot_cannot_be_approved(desk: Gateway) -> None:
    """A transaction that keeps its snapshot would not show what was redefined: nobody is asked."""
    with connect(desk) as agent:
        agent.execute("begin isolation level repeatable read; select 1", prepare=False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="snapshot"):
            agent.execute(BULK)
        agent.execute("rollback")


def test_in_a_transaction_it_is_approved(desk: Gateway, postgres: Postgres) -> None:
    """A statement in an open transaction is held and runs there; it is undone with it."""
    before = postgres.psql("select sum(total) from orders", "shop_approvals")
    with ThreadPoolExecutor() as pool, connect(desk) as agent:
        agent.execute("begin")
        answer = ask(agent, pool, "update orders set total = total + 1")
        approve(desk, waiting(desk)["id"])
        assert answer.result(20) == "UPDATE 1000"
        agent.execute("rollback")
    assert postgres.psql("select sum(total) from orders", "shop_approvals") == before


@pytest.mark.parametrize("edit", ["state", "revive"])
def test_an_edited_store_opens_nothing(postgres: Postgres, tmp_path: Path, edit: str) -> None:
    """Neither a row that says approved, nor an old row put back, lets anything run after a restart."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, f"shop_edit_{edit}"), policy=RULES)
    gateway.start().people()
    path = gateway.data / "store.sqlite"
    with ThreadPoolExecutor() as pool, connect(gateway) as agent:
        answer = ask(agent, pool, "update orders set total = total + 1")
        id = waiting(gateway)["id"]
        if edit == "revive":
            approve(gateway, id)
            assert answer.result(20) == "UPDATE 1000"
        else:
            with pytest.raises(psycopg.Error, match=id):
                answer.result(60)
    assert gateway.stop() == 0
    with sqlite3.connect(path) as store:
        row = store.execute("select state from approvals where id = ?", (id,)).fetchone()
        assert row == ("used" if edit == "revive" else "waiting",)
        store.execute("update approvals set state = 'approved' where id = ?", (id,))
    gateway.start()
    with ThreadPoolExecutor() as pool, connect(gateway) as agent:
        answer = ask(agent, pool, "update orders set total = total + 1")
        fresh = waiting(gateway)
        assert fresh["id"] != id
        gateway.call("POST", f"approvals/{fresh['id']}/refuse", "bob", reason="asked anew")
        with pytest.raises(psycopg.Error, match="asked anew"):
            answer.result(20)
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def test_it_outlives_a_restart(postgres: Postgres, tmp_path: Path) -> None:
    """A question is still there after a restart, and its yes then lets the same statement run, once."""
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_outlives"), policy=RULES.replace("8s", "1s", 1))
    gateway.start().people()
    with ThreadPoolExecutor() as pool, connect(gateway) as agent:
        answer = ask(agent, pool, "update orders set total = total + 1")
        id = waiting(gateway)["id"]
        with pytest.raises(psycopg.Error, match=id):
            answer.result(20)
    assert gateway.stop() == 0
    gateway.start()
    assert waiting(gateway)["id"] == id
    assert approve(gateway, id)["state"] == "approved"
    assert gateway.stop() == 0
    gateway.start()
    with connect(gateway) as agent:
        assert agent.execute("update orders set total = total + 1").statusmessage == "UPDATE 1000"
        with pytest.raises(psycopg.Error, match="still waits"):
            agent.execute("update orders set total = total + 1")
    assert gateway.stop() == 0
    assert gateway.verify() == 0
