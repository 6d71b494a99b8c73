"""Pipelines of real clients: an error comes in its own place, what precedes it runs, what follows is skipped."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg import pq

from e2e.test_holds import question
from gateway import Gateway
from servers import Postgres

Agent = psycopg.Connection[Any]
OK, ERROR, ABORTED, SYNC = (
    pq.ExecStatus.COMMAND_OK,
    pq.ExecStatus.FATAL_ERROR,
    pq.ExecStatus.PIPELINE_ABORTED,
    pq.ExecStatus.PIPELINE_SYNC,
)


def connect(gateway: Gateway) -> Agent:
    """A connection whose statements commit by themselves."""
    return psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)


def pipeline(agent: Agent, *statements: str | None) -> list[pq.ExecStatus]:
    """Send statements (None is a Sync) at once; gives the status of every result, as libpq tells it."""
    agent.pgconn.enter_pipeline_mode()
    for text in statements:
        if text is None:
            agent.pgconn.pipeline_sync()
        else:
            agent.pgconn.send_query_params(text.encode(), None)
    agent.pgconn.flush()
    states: list[pq.ExecStatus] = []
    while states.count(SYNC) < statements.count(None):
        result = agent.pgconn.get_result()
        if result is not None:
            states.append(pq.ExecStatus(result.status))
    agent.pgconn.exit_pipeline_mode()
    return states


def lines(server: Postgres, mark: str) -> str:
    """How many lines of the log hold the mark."""
    return server.psql(f"select count(*) from log where line = '{mark}'", "shop_e2e")


REFUSED = "drop table orders"
BROKEN = "selec"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_same_states_as_a_server_error(gateway: Gateway, postgres: Postgres, place: int) -> None:
    """A refused statement leaves the same states behind as one the server cannot parse, wherever it stands."""

    def batch(failing: str) -> list[str | None]:
        texts = ["insert into log values ('same')"] * 3
        return [*texts[:place], failing, *texts[place:], None, "select 1", None]

    with connect(gateway) as agent:
        expected = pipeline(agent, *batch(BROKEN))
        assert pipeline(agent, *batch(REFUSED)) == expected
        assert expected[: place + 1] == [OK] * place + [ERROR]
    assert lines(postgres, "same") == "0"


def test_refused_between_batches(gateway: Gateway, postgres: Postgres) -> None:
    """A Sync before the refused statement commits what precedes it."""
    with connect(gateway) as agent:
        states = pipeline(agent, "insert into log values ('between')", None, REFUSED, None)
    assert states == [OK, SYNC, ERROR, SYNC]
    assert lines(postgres, "between") == "1"


def test_refused_in_a_transaction_block(gateway: Gateway, postgres: Postgres) -> None:
    """In a block the transaction is failed, until its ROLLBACK, and the server's own status says so."""
    with connect(gateway) as agent:
        states = pipeline(agent, "begin", "insert into log values ('block')", None, REFUSED, None, "select 1", None)
        assert states == [OK, OK, SYNC, ERROR, SYNC, ERROR, SYNC]
        assert agent.info.transaction_status is pq.TransactionStatus.INERROR
        agent.execute("rollback")
    assert lines(postgres, "block") == "0"


def test_psycopg_pipeline(gateway: Gateway) -> None:
    """psycopg's own pipeline tells the error where the refused statement is, and goes on afterwards."""
    with connect(gateway) as agent, agent.cursor() as first, agent.cursor() as second:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), agent.pipeline():
            first.execute("select 1")
            second.execute(REFUSED)
        assert first.fetchall() == [(1,)]
        assert agent.execute("select 2").fetchone() == (2,)


def test_asyncpg_executemany(gateway: Gateway, postgres: Postgres) -> None:
    """Of many executions one is refused for its values alone: none of them is kept, as with any error."""

    async def run() -> None:
        agent = await asyncpg.connect(
            host="127.0.0.1", port=gateway.port, user="agent", password=gateway.token(), database="shop", ssl=False
        )
        values = [("many",)] * 20 + [("[masked]",)] + [("many",)] * 20
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await agent.executemany("insert into log values ($1)", values)
        assert await agent.fetchval("select 3") == 3
        await agent.executemany("insert into log values ($1)", [("many",)] * 300)
        await agent.close()

    asyncio.run(run())
    assert lines(postgres, "many") == "300"


def test_held_in_the_middle(gateway: Gateway) -> None:
    """What precedes a held statement runs and is answered; the rest waits for the answer."""
    with connect(gateway) as agent:
        agent.pgconn.enter_pipeline_mode()
        for text in ("select 41", "update orders set total = total + 0", "select 42"):
            agent.pgconn.send_query_params(text.encode(), None)
        agent.pgconn.pipeline_sync()
        agent.pgconn.flush()
        first = agent.pgconn.get_result()
        assert first is not None and first.get_value(0, 0) == b"41"
        seen = question(gateway)
        assert "total + 0" in seen["statement"]
        gateway.call("POST", f"approvals/{seen['id']}/approve", "bob")
        rest = [agent.pgconn.get_result() for _ in range(6)]
        states = [result.status for result in rest if result is not None]
        assert states == [OK, pq.ExecStatus.TUPLES_OK, SYNC]


def test_nobody_is_asked_behind_an_error(gateway: Gateway) -> None:
    """If what precedes a held statement fails, the statement would not run: the question is taken back."""
    with connect(gateway) as agent:
        states = pipeline(agent, "insert into log values (1/0)", "update orders set total = total + 0", None)
        assert states == [ERROR, ABORTED, SYNC]
        assert gateway.call("GET", "approvals", "bob")["items"] == []


def test_refused_in_a_string_of_statements(gateway: Gateway, postgres: Postgres) -> None:
    """One text of several statements stands or falls as a whole: it is refused before anything in it runs."""
    with connect(gateway) as agent:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            agent.execute(f"insert into log values ('string'); commit; {REFUSED}")
        assert agent.info.transaction_status is pq.TransactionStatus.IDLE
    assert lines(postgres, "string") == "0"
