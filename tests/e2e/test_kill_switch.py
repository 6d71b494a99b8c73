"""The kill switch through a real gateway: clients are cut, statements end on the server, nothing old comes back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

from .conftest import TAGS, shop

DATABASE = "shop_kill"
SLEEP = "select pg_sleep(600)"
BULK = "update orders set total = 0"


@pytest.fixture(scope="module", params=[1, 2], ids=["alone", "workers"])
def running(request: Any, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of one process, then of two workers, with a second agent; whatever happened, its log verifies."""
    database = f"{DATABASE}_{request.param}"
    gateway = Gateway(
        tmp_path_factory.mktemp("kill") / "gw", shop(postgres, database), tags=TAGS, workers=request.param,
        policy=POLICY,
    )  # fmt: skip
    gateway.start().people()
    gateway.call("POST", "agents", "alice", name="helper")
    yield gateway
    assert gateway.stop() == 0
    assert gateway.verify() == 0


POLICY = """
rules:
  - {id: connects, may: [connect], then: allow, for: 1h}
  - {id: reads, may: [read], then: allow}
  - {id: bulk, may: [write], where: {unbounded: true}, then: hold, approvers: {groups: [dba], count: 1}, within: 5m}
  - {id: sleeps, may: [execute, read], then: allow, where: {command: [select]}}
"""


class Sleeper:
    """A client in the middle of a statement; ``said`` is what it was told in the end."""

    def __init__(self, gateway: Gateway, agent: str, statement: str = SLEEP) -> None:
        self._statement = statement
        self.token = gateway.token(agent=agent)
        self._connection = psycopg.connect(gateway.dsn(self.token), autocommit=True)
        self.said = ""
        self._thread = threading.Thread(target=self._sleep, daemon=True)
        self._thread.start()

    def _sleep(self) -> None:
        try:
            self._connection.execute(self._statement)
        except psycopg.Error as error:
            self.said = str(error)

    def ended(self) -> str:
        """What the client was told."""
        self._thread.join(20)
        assert not self._thread.is_alive(), "the client still waits"
        return self.said

    def close(self) -> None:
        """Let go."""
        self._connection.close()


def asleep(postgres: Postgres, gateway: Gateway) -> int:
    """Statements that run on the server."""
    own = f"datname = '{gateway.upstream.database}' and query = '{SLEEP}' and state = 'active'"
    return int(postgres.psql(f"select count(*) from pg_stat_activity where {own}").strip())


def until(postgres: Postgres, gateway: Gateway, count: int) -> None:
    """Wait until so many run."""
    end = time.monotonic() + 20
    while asleep(postgres, gateway) != count:
        assert time.monotonic() < end, f"{asleep(postgres, gateway)} statements run, not {count}"
        time.sleep(0.05)


def sleepers(stack: ExitStack, gateway: Gateway, agent: str, count: int) -> list[Sleeper]:
    """Several clients, in several workers where there are any."""
    found = [Sleeper(gateway, agent) for _ in range(count)]
    for each in found:
        stack.callback(each.close)
    return found


@pytest.mark.parametrize(
    ("what", "name"), [("agent", "claude-code"), ("identity", "claude-code"), ("resource", "shop"), ("all", "")]
)
def test_everything_of_the_named_ends(postgres: Postgres, running: Gateway, what: str, name: str) -> None:
    """Clients are cut in the middle of a statement, the server runs none of it any more, old tokens stay refused."""
    with ExitStack() as stack:
        struck = sleepers(stack, running, "claude-code", 4)
        spared = sleepers(stack, running, "helper", 1)
        until(postgres, running, 5)
        answer = running.call("POST", "kill", "alice", what=what, name=name, reason="a runaway")
        assert all("ended by an operator" in each.ended() or each.said for each in struck)
        left = 1 if name == "claude-code" else 0
        until(postgres, running, left)
        assert answer["sessions"] == (4 if left else 5)
        for each in struck:
            with pytest.raises(psycopg.OperationalError, match="revoked"):
                psycopg.connect(running.dsn(each.token))
        if not left:
            assert spared[0].ended()
        fresh = running.token()
        with psycopg.connect(running.dsn(fresh), autocommit=True) as agent:
            assert agent.execute("select 1").fetchone() == (1,)
        running.call("POST", "kill", "alice", what="all")


def test_one_session_with_its_grant(postgres: Postgres, running: Gateway) -> None:
    """One session ends with what would open it again; the agent's others go on."""
    with ExitStack() as stack:
        one, other = sleepers(stack, running, "claude-code", 2)
        until(postgres, running, 2)
        live = running.call("GET", "sessions?state=live", "alice")["items"]
        running.call("POST", "kill", "alice", what="session", name=live[0]["sid"])
        until(postgres, running, 1)
        opened = []
        for each in (one, other):
            try:
                psycopg.connect(running.dsn(each.token)).close()
                opened.append(each)
            except psycopg.OperationalError:
                assert each.ended()
        assert len(opened) == 1
        running.call("POST", "kill", "alice", what="all")


@pytest.mark.parametrize("what", ["session", "agent"])
def test_what_waits_for_people_is_withdrawn(running: Gateway, what: str) -> None:
    """A held statement of the struck can be approved no more."""
    sleeper = Sleeper(running, "claude-code", BULK)
    end = time.monotonic() + 20
    while not (waiting := running.call("GET", "approvals", "bob")["items"]):
        assert time.monotonic() < end, sleeper.said
        time.sleep(0.05)
    sid = running.call("GET", "sessions?state=live", "alice")["items"][0]["sid"]
    running.call("POST", "kill", "alice", what=what, name=sid if what == "session" else "claude-code")
    assert sleeper.ended()
    sleeper.close()
    while running.call("GET", "approvals", "bob")["items"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert running.call("GET", f"approvals/{waiting[0]['id']}", "bob")["state"] == "withdrawn"


def test_it_stays_so_after_a_restart(postgres: Postgres, running: Gateway) -> None:
    """What the switch ended is read from the log at start."""
    token = running.token()
    running.call("POST", "kill", "alice", what="all")
    running.stop()
    running.start()
    with pytest.raises(psycopg.OperationalError, match="revoked"):
        psycopg.connect(running.dsn(token))


def test_a_worker_that_does_not_obey_is_killed(postgres: Postgres, running: Gateway) -> None:
    """A worker that is stopped cannot cut its sessions: it goes, and its sessions with it."""
    if running.workers == 1:
        return
    assert running.process is not None
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    with ExitStack() as stack:
        struck = sleepers(stack, running, "claude-code", 6)
        until(postgres, running, 6)
        for pid in children:
            os.kill(int(pid), signal.SIGSTOP)
        running.call("POST", "kill", "alice", what="all")
        assert all(each.ended() for each in struck)
        assert not any(Path(f"/proc/{pid}/stat").exists() for pid in children)
        for each in struck:
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(running.dsn(each.token))
