"""Held operations: a person decides, the client waits, and a yes covers exactly one thing."""

from __future__ import annotations

import asyncio
import decimal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import asyncpg
import httpx2
import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

BULK = "update orders set total = total + 0"


def ask(
    gateway: Gateway, pool: ThreadPoolExecutor, text: str = BULK
) -> tuple[psycopg.Connection[Any], Future[str | None]]:
    """Send a held statement from a thread; gives the connection and what the client will see."""
    agent = psycopg.connect(gateway.dsn(gateway.token(reason="spring cleaning")), autocommit=True)
    return agent, pool.submit(lambda: agent.execute(text).statusmessage)


def question(gateway: Gateway) -> dict[str, Any]:
    """The one waiting request, as the approver lists it."""
    for _ in range(200):
        waiting = gateway.call("GET", "approvals", "bob")["items"]
        if waiting:
            assert len(waiting) == 1
            return gateway.call("GET", f"approvals/{waiting[0]['id']}", "bob")
        time.sleep(0.02)
    raise AssertionError("nothing is waiting")


def until(true: Callable[[], bool]) -> None:
    """Wait for a fact, at most ten seconds."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_approved(gateway: Gateway) -> None:
    """The approver sees the exact statement, who asks through whom, and why; a yes lets it run once."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        seen = question(gateway)
        assert seen["statement"] == BULK and seen["reason"] == "spring cleaning"
        assert seen["who"] == "alice -> claude-code" and seen["rule"] == "bulk-writes-need-a-dba"
        gateway.call("POST", f"approvals/{seen['id']}/approve", "bob")
        assert answer.result(20) == "UPDATE 1000"
        agent.close()


def test_rejected(gateway: Gateway) -> None:
    """A no reaches the waiting client with its reason, nothing runs, and the session goes on."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        gateway.call("POST", f"approvals/{question(gateway)['id']}/refuse", "bob", reason="not on a Friday")
        with pytest.raises(psycopg.Error, match="not on a Friday"):
            answer.result(20)
        assert agent.execute("select 1").fetchone() == (1,)
        agent.close()


def test_nobody_of_the_chain_approves(gateway: Gateway) -> None:
    """Neither the person behind the agent nor somebody outside the approvers' group can say yes."""
    if "carol" not in gateway.logins:
        gateway.person("carol", ["sales"])
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        id = question(gateway)["id"]
        for name in ("alice", "carol"):
            said = httpx2.post(
                f"{gateway.url}/api/v1/approvals/{id}/approve",
                headers={"authorization": f"Bearer {gateway.logins[name]}"},
            )
            assert said.status_code in (403, 404), said.text
        assert not answer.done()
        gateway.call("POST", f"approvals/{id}/refuse", "bob", reason="enough")
        with pytest.raises(psycopg.Error):
            answer.result(20)
        agent.close()


def test_cancelled_by_the_client(gateway: Gateway) -> None:
    """Ctrl-C while people think withdraws the request; a later yes opens nothing."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        id = question(gateway)["id"]
        agent.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            answer.result(20)
        said = httpx2.post(
            f"{gateway.url}/api/v1/approvals/{id}/approve", headers={"authorization": f"Bearer {gateway.logins['bob']}"}
        )
        assert said.status_code >= 400
        agent.close()


def test_client_that_leaves(gateway: Gateway, postgres: Postgres) -> None:
    """A client that is killed while held frees the question and the session."""
    client = subprocess.Popen(
        [postgres.tools / "psql", "-X", "-c", BULK, "-h", "127.0.0.1", "-p", str(gateway.port), "-U", "agent", "shop"],
        env={"PGPASSWORD": gateway.token(), "PGSSLMODE": "disable"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    sid = question(gateway)["sid"]
    client.kill()
    client.wait()
    until(lambda: not gateway.call("GET", "approvals", "bob")["items"])
    until(lambda: gateway.call("GET", f"sessions/{sid}", "alice")["ended"] is not None)


def test_held_in_a_pipeline(gateway: Gateway) -> None:
    """Statements around a held one are answered in order, and others are served meanwhile."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent, agent.pipeline() as pipeline:
        first = agent.execute("select 1")
        pipeline.sync()
        held = agent.execute(BULK)
        threading.Timer(
            0.1, lambda: gateway.call("POST", f"approvals/{question(gateway)['id']}/approve", "bob")
        ).start()
        pipeline.sync()
        last = agent.execute("select 3")
        pipeline.sync()
        assert first.fetchone() == (1,) and held.statusmessage == "UPDATE 1000" and last.fetchone() == (3,)


def test_killed_while_held(gateway: Gateway) -> None:
    """Killing the session ends the question and tells the client."""
    with ThreadPoolExecutor() as pool:
        agent, answer = ask(gateway, pool)
        sid = question(gateway)["sid"]
        gateway.call("POST", f"sessions/{sid}/kill", "alice", reason="stop")
        with pytest.raises(psycopg.Error):
            answer.result(20)
        until(lambda: not gateway.call("GET", "approvals", "bob")["items"])
        agent.close()


def test_a_driver_that_prepares_is_held_once(gateway: Gateway) -> None:
    """Preparing a statement asks nobody; running it asks once."""

    async def story() -> str:
        agent = await asyncpg.connect(
            host="127.0.0.1", port=gateway.port, user="agent", password=gateway.token(), database="shop", ssl=False
        )
        try:
            running = asyncio.create_task(agent.execute("update orders set total = total + $1", decimal.Decimal(0)))
            id = (await asyncio.to_thread(question, gateway))["id"]
            await asyncio.to_thread(gateway.call, "POST", f"approvals/{id}/approve", "bob")
            return str(await running)
        finally:
            await agent.close()

    assert asyncio.run(story()) == "UPDATE 1000"


def test_parameters_that_cannot_be_shown(gateway: Gateway) -> None:
    """A held statement whose parameters are streamed is refused: nobody could approve what is not at hand."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="too large to be shown"):
            agent.execute("update log set line = %s", ["x" * 2**20])
        assert agent.execute("select 1").fetchone() == (1,)


def test_large_parameters_of_an_allowed_write(gateway: Gateway) -> None:
    """The same parameter in an allowed write is streamed and arrives."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        agent.execute("insert into log values (%s)", ["y" * 2**21])
        assert agent.execute("select max(length(line)) from log").fetchone() == (2**21,)
