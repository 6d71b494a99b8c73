"""Rule 1: no effect before evidence, watched from outside under an fdatasync that is slow, dead or failing.

The statements of one session are numbered; the n-th needs n intents in the log. A change must find its intent durable
when the upstream sees it, a read must find it in the kernel, and no reply to a read may reach the agent before it is
durable.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from gateway import Gateway, Upstream
from servers import Postgres

from .spy import Evidence, Spy, shim

NO_SYNC = "import os; os.fdatasync = lambda fd: None; from tidegate.__main__ import main; main()"


@dataclass
class Scene:
    """A gateway under the interposer, between an agent and the spy."""

    gateway: Gateway
    spy: Spy
    evidence: Evidence
    mode: Path

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """An agent with a fresh token."""
        return psycopg.connect(self.gateway.dsn(self.gateway.token()), autocommit=True)

    def run(self, agent: psycopg.Connection[tuple[object, ...]], first: int, last: int) -> list[str]:
        """Changes and reads in turn; gives the reads whose reply came before their evidence."""
        early = []
        for number in range(first, last + 1):
            if number % 2:
                agent.execute(f"/*change {number}*/ update counter set n = n + 1 where id = 1", prepare=False)
            else:
                agent.execute(f"/*read {number}*/ select n from counter where id = 1", prepare=False)
                if self.evidence.intents(durable=True) < number:
                    early.append(f"the reply to read {number} came before its evidence")
        return early


@pytest.fixture
def scene(tmp_path: Path, postgres: Postgres) -> Iterator[Scene]:
    """One gateway and one table."""
    yield from _scene(tmp_path, postgres, None)


def _scene(directory: Path, server: Postgres, code: str | None) -> Iterator[Scene]:
    database = f"evidence{abs(hash(directory)) % 10**9}"
    server.psql(f"create database {database}")
    server.psql("create table counter (id int primary key, n int); insert into counter values (1, 0)", database)
    mode, journal = directory / "mode", directory / "journal"
    mode.write_text("ok")
    evidence = Evidence(directory / "gw" / "data", journal)
    spy = Spy(server.port, evidence)
    gateway = Gateway(directory / "gw", Upstream("127.0.0.1", spy.port, database, server.user, server.password))
    gateway.segment, gateway.workers = "64MiB", 1  # the spy watches one log
    gateway.environment = {
        "LD_PRELOAD": str(shim(directory)), "SHIM_MODE": str(mode), "SHIM_JOURNAL": str(journal)
    }  # fmt: skip
    if code is not None:
        gateway.command = [sys.executable, "-c", code]
    gateway.start().people()
    try:
        yield Scene(gateway, spy, evidence, mode)
    finally:
        gateway.kill()
        spy.close()


def test_slow_disk_delays_effects_and_replies(scene: Scene) -> None:
    """With every sync 15 ms late, each change is durable before it is forwarded and each read before it is answered."""
    with scene.connect() as agent:
        scene.mode.write_text("delay 15")
        early = scene.run(agent, 1, 40)
    assert len(scene.spy.seen) == 40
    assert scene.spy.violations == [] and early == []


def test_pipelines_keep_the_rule(scene: Scene) -> None:
    """Statements sent without waiting for replies still wait for their evidence."""
    with scene.connect() as agent, agent.pipeline():
        scene.mode.write_text("delay 15")
        for number in range(1, 31):
            agent.execute(f"/*change {number}*/ update counter set n = n + 1 where id = 1", prepare=False)
    assert len(scene.spy.seen) == 30
    assert scene.spy.violations == []


def test_dead_disk_stops_effects(scene: Scene) -> None:
    """While a sync does not return, a change is not forwarded and a read is not answered."""
    for text in (
        "/*change 5*/ update counter set n = n + 1 where id = 1",
        "/*read 5*/ select n from counter where id = 1",
    ):
        agent = scene.connect()
        agent.execute("select 1")
        scene.mode.write_text("hang")
        agent.pgconn.send_query(text.encode())
        agent.pgconn.flush()
        readable, _, _ = select.select([agent.pgconn.socket], [], [], 0.7)
        assert not readable and ("change" not in text or 5 not in scene.spy.seen)
        scene.mode.write_text("ok")
        agent.close()
    assert scene.spy.seen == [5] or scene.spy.seen == [5, 5]


def test_failing_disk_ends_everything(scene: Scene) -> None:
    """After a failed sync nothing is forwarded any more, the agent is told, and the process exits with 75."""
    agent = scene.connect()
    scene.run(agent, 1, 4)
    seen = len(scene.spy.seen)
    scene.mode.write_text("fail")
    with pytest.raises(psycopg.OperationalError, match="audit log"):
        agent.execute("/*change 5*/ update counter set n = n + 1 where id = 1", prepare=False)
    assert len(scene.spy.seen) == seen
    assert scene.gateway.process is not None and scene.gateway.process.wait(20) == 75


def test_the_spy_sees_a_missing_sync(tmp_path: Path, postgres: Postgres) -> None:
    """With the sync call taken out, the spy reports violations: the tests above can fail."""
    for scene in _scene(tmp_path, postgres, NO_SYNC):
        with scene.connect() as agent:
            early = scene.run(agent, 1, 6)
        assert scene.spy.violations and early
