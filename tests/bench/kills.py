"""How long the kill switch takes: until every client is cut and the server runs none of their statements."""

from __future__ import annotations

import selectors
import time
from contextlib import ExitStack
from dataclasses import replace

from loads import Connection, LoadFailed
from ways import direct
from windows import Way

from gateway import Gateway
from servers import Postgres

LOCK = "begin; lock table strangers in access exclusive mode"
WAITS = "select count(*) from strangers"
"""A read that waits for a lock, at no cost, until it is cancelled."""

PATIENCE = 30.0


def kill(gateway: Gateway, way: Way, server: Postgres, sessions: int) -> float:
    """Seconds for so many sessions in the middle of a statement. Raises LoadFailed."""
    way = replace(way, password=gateway.token(ttl=600))
    watch, holder = Connection(direct(server)), Connection(direct(server))
    with ExitStack() as opened:
        opened.callback(watch.close)
        opened.callback(holder.close)
        clients = [Connection(way) for _ in range(sessions)]
        for client in clients:
            opened.callback(client.drop)
        holder.begin(LOCK)
        for client in clients:
            client.begin(WAITS)
        _until(watch, sessions)
        start = time.perf_counter()
        gateway.call("POST", "kill", "alice", what="resource", name="shop", reason="measured")
        _cut(clients)
        _until(watch, 0)
        return time.perf_counter() - start


def _until(watch: Connection, count: int) -> None:
    """Wait until so many of the statements run on the server."""
    text = f"select from pg_stat_activity where state = 'active' and query = '{WAITS}'"
    end = time.monotonic() + PATIENCE
    while (running := watch.ask(text)[0]) != count:
        if time.monotonic() > end:
            raise LoadFailed(f"{running} statements run, not {count}")
        time.sleep(0.002)


def _cut(clients: list[Connection]) -> None:
    """Wait until the gateway has closed every connection."""
    end = time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            waiting.register(client, selectors.EVENT_READ)
        while waiting.get_map():
            if time.monotonic() > end:
                raise LoadFailed(f"{len(waiting.get_map())} clients were not cut")
            for key, _ in waiting.select(0.1):
                assert isinstance(key.fileobj, Connection)
                if key.fileobj.over():
                    waiting.unregister(key.fileobj)
