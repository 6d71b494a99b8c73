"""Refusals: in the protocol's own form, in step, and the session goes on."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg import pq

from gateway import Gateway
from servers import Postgres

REFUSED = [
    "drop table orders",
    "drop database shop_e2e",
    "truncate orders",
    "with gone as (delete from orders returning *) select count(*) from gone",
    "do $$ begin delete from orders; end $$",
    "do $$ begin execute 'drop table orders'; end $$",
    "select 1; drop table orders",
    "explain analyze delete from orders",
    "prepare p as delete from orders",
    "copy orders to program 'cat'",
    "copy orders from '/etc/passwd'",
    "select pg_read_file('/etc/passwd')",
    "select lo_import('/etc/passwd')",
    "set role postgres",
    "set session authorization postgres",
    "set search_path to evil",
    "set standard_conforming_strings to off",
    "set client_encoding to 'SJIS'",
    "select set_config('client_encoding', 'SJIS', false)",
    "select set_config('standard_conforming_strings', 'off', false)",
    "alter system set work_mem to '1MB'",
    "load 'auto_explain'",
    "create extension plpython3u",
    "create function f() returns int language sql as 'select 1'",
    "grant all on orders to public",
    "create role intruder superuser",
    "vacuum full",
    "listen gossip",
    "selec 1",
    "select * from nothing_like_that where dblink('x') is null",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused(gateway: Gateway, postgres: Postgres, text: str) -> None:
    """SQLSTATE 42501, a DETAIL that parses, a HINT; the session goes on and nothing happened."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        with pytest.raises(psycopg.Error) as caught:
            agent.execute(text, prepare=False)
        refusal = caught.value.diag
        assert refusal.sqlstate == "42501", caught.value
        assert {"code", "rule", "request"} <= set(json.loads(refusal.message_detail or ""))
        assert refusal.message_hint
        assert agent.execute("select 1").fetchone() == (1,)
    assert postgres.psql("select count(*) from orders", "shop_e2e") == "1000"


def test_in_a_transaction(gateway: Gateway) -> None:
    """A refusal fails the transaction as any error does; a rollback mends it."""
    with psycopg.connect(gateway.dsn(gateway.token())) as agent:
        agent.execute("insert into log values ('before the refusal')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute("drop table orders")
        assert agent.info.transaction_status is pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            agent.execute("select 1")
        agent.rollback()
        assert agent.execute("select count(*) from log where line = 'before the refusal'").fetchone() == (0,)


@pytest.mark.parametrize("flush", [False, True])
def test_nothing_commits_behind_a_refusal(gateway: Gateway, postgres: Postgres, flush: bool) -> None:
    """Update, Flush, refused statement, Sync: the update is not committed."""
    mark = f"flushed {flush}"
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        agent.pgconn.enter_pipeline_mode()
        agent.pgconn.send_query_params(f"insert into log values ('{mark}')".encode(), None)
        if flush:
            agent.pgconn.send_flush_request()
            assert _drain(agent, 1) == [pq.ExecStatus.COMMAND_OK]
        agent.pgconn.send_query_params(b"drop table orders", None)
        agent.pgconn.pipeline_sync()
        states = _drain(agent, 9)
        assert states[-2] is pq.ExecStatus.FATAL_ERROR and states[-1] is pq.ExecStatus.PIPELINE_SYNC
        agent.pgconn.exit_pipeline_mode()
        assert agent.execute("select 1").fetchone() == (1,)
    assert postgres.psql(f"select count(*) from log where line = '{mark}'", "shop_e2e") == "0"


def test_encoding_attacks(gateway: Gateway) -> None:
    """Rule 9: neither a multibyte quote nor a backslash quote makes gateway and server read different statements."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        for attack in (
            b"select '\xbf\x27; drop table orders; --'",
            b"select 'a\\'; drop table orders; --'",
            b"select E'a\\'; drop table orders; --'",
            b"set client_encoding to 'GBK'; select '\xbf\x27; drop table orders; --'",
        ):
            agent.pgconn.exec_(attack)
            assert agent.pgconn.status == pq.ConnStatus.OK
        assert agent.execute("select count(*) from orders").fetchone() == (1000,)


@pytest.mark.parametrize(
    "options",
    ["-c search_path=evil", "-c role=postgres", "-c client_encoding=SJIS", "-c standard_conforming_strings=off"],
)
def test_startup_is_an_allow_list(gateway: Gateway, options: str) -> None:
    """Startup parameters that change what a statement means are refused before a session exists."""
    with pytest.raises(psycopg.OperationalError, match=r"not accepted|is spoken here"):
        psycopg.connect(gateway.dsn(gateway.token()) + f" options='{options}'")


def _drain(agent: psycopg.Connection[tuple[object, ...]], count: int) -> list[pq.ExecStatus]:
    """Status of the next results of a pipeline: up to its Sync, ``count`` at most."""
    states: list[pq.ExecStatus] = []
    agent.pgconn.flush()
    while len(states) < count and pq.ExecStatus.PIPELINE_SYNC not in states:
        result = agent.pgconn.get_result()
        if result is not None:
            states.append(pq.ExecStatus(result.status))
    return states
