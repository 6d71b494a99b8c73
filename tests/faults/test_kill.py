"""kill -9 in the middle of work, again and again: nothing acknowledged is lost, nothing takes effect unlogged."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from pathlib import Path

import psycopg

from gateway import Gateway, Upstream
from servers import Postgres

ROUNDS = int(os.environ.get("TIDEGATE_KILLS", "6"))


def test_kill_loop(tmp_path: Path, postgres: Postgres) -> None:
    """After every kill the log verifies, holds every acknowledged insert, and has an intent for every row upstream."""
    postgres.psql("create database killed")
    postgres.psql("create table t (id int primary key)", "killed")
    gateway = Gateway(tmp_path / "gw", Upstream("127.0.0.1", postgres.port, "killed", postgres.user, postgres.password))
    gateway.start().people()
    acknowledged: list[int] = []
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for round in range(ROUNDS):
        places = [gateway.dsn(gateway.token()) for _ in range(4)]
        workers = [
            threading.Thread(target=_insert, args=(place, round, worker, acknowledged))
            for worker, place in enumerate(places)
        ]
        for worker in workers:
            worker.start()
        time.sleep(dice.uniform(0.3, 0.9))
        gateway.kill()
        for worker in workers:
            worker.join(20)
        gateway.start()
    gateway.stop()
    leaves = _leaves(gateway.data)
    rows = int(postgres.psql("select count(*) from t", "killed"))
    intents = sum(leaf["k"] == "op.intent" and leaf["op"] == "insert" for leaf in leaves)
    done = sum(leaf["k"] == "op.outcome" and leaf["st"] == "ok" for leaf in leaves)
    assert len(acknowledged) > ROUNDS and len(acknowledged) <= rows <= intents
    assert done >= len(acknowledged)
    assert gateway.verify() == 0


def _insert(place: str, round: int, worker: int, acknowledged: list[int]) -> None:
    with contextlib.suppress(psycopg.Error), psycopg.connect(place, autocommit=True) as agent:
        for number in range(10_000):
            id = (round * 10 + worker) * 10_000 + number
            agent.execute("insert into t values (%s)", [id])
            acknowledged.append(id)


def _leaves(data: Path) -> list[dict[str, object]]:
    """All leaves under the last checkpoint, read from the entry bundles (C2SP tlog-tiles)."""
    found: list[dict[str, object]] = []
    bundles = sorted((path for path in data.glob("**/log/*/tile/entries/**/*") if path.is_file()), key=str)
    for path in bundles:
        content, at = path.read_bytes(), 0
        while at < len(content):
            size = int.from_bytes(content[at : at + 2], "big")
            found.append(json.loads(content[at + 2 : at + 2 + size]))
            at += 2 + size
    return list({(leaf["gw"], leaf["i"]): leaf for leaf in found}.values())
