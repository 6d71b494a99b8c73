"""The race of a cancel with the next request: while a cancel is on its way upstream, further requests wait."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from gateway import Gateway
from servers import Postgres

from .conftest import shop

CANCEL = (80877102).to_bytes(4, "big")


class Turnstile:
    """Stands before a server and lets everything through, but keeps cancel requests until ``released``."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.kept, self.released = threading.Event(), threading.Event()
        self.sent: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._server.accept()[:1], daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        first = near.recv(65536)
        if first[4:8] == CANCEL:
            self.kept.set()
            self.released.wait(60)
        far = socket.create_connection(("127.0.0.1", self._target))
        far.sendall(first)
        threading.Thread(target=self._carry, args=(far, near, lambda data: None), daemon=True).start()
        self._carry(near, far, self.sent.append)

    def _carry(self, source: socket.socket, target: socket.socket, seen: Callable[[bytes], object]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                seen(data)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
            source.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Let nobody in any more."""
        self.released.set()
        self._server.close()


@pytest.mark.parametrize("effect", [False, True])
def test_the_next_request_waits_for_the_cancel(postgres: Postgres, tmp_path: Path, effect: bool) -> None:
    """The cancelled statement ends by itself first; the next one is forwarded after the cancel, and lives."""
    upstream = shop(postgres, f"shop_cancel_{effect}".lower())
    turnstile = Turnstile(upstream.port)
    upstream.port = turnstile.port
    gateway = Gateway(tmp_path / "gw", upstream)
    gateway.start().people()
    text = "insert into log values ('after the cancel')" if effect else "select 'after the cancel' from orders limit 1"
    with (
        psycopg.connect(postgres.dsn(upstream.database), autocommit=True) as keeper,
        psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent,
    ):
        keeper.execute("select pg_advisory_lock(7)")
        story = threading.Thread(target=lambda: (agent.execute("select pg_advisory_lock(7)"), agent.execute(text)))
        story.start()
        until(lambda: keeper.execute("select 1 from pg_locks where locktype = 'advisory' and not granted").fetchone())
        threading.Thread(target=agent.cancel_safe).start()
        assert turnstile.kept.wait(30)
        keeper.execute("select pg_advisory_unlock(7)")
        intents = "audit/leaves?kind=op.intent"
        until(lambda: len(gateway.call("GET", intents, "alice")["items"]) == 2)
        assert not any(b"after the cancel" in data for data in turnstile.sent), "forwarded under a cancel's eyes"
        turnstile.released.set()
        story.join(30)
        assert any(b"after the cancel" in data for data in turnstile.sent)
    turnstile.close()
    outcomes = gateway.call("GET", "audit/leaves?kind=op.outcome", "alice")["items"]
    assert [outcome["st"] for outcome in outcomes] == ["ok", "ok"]
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def test_the_gateways_own_question_waits_for_the_cancel(postgres: Postgres, tmp_path: Path) -> None:
    """After code that may have moved names, the upstream is asked what they mean; a cancel must not hit that either."""
    upstream = shop(postgres, "shop_cancel_question")
    turnstile = Turnstile(upstream.port)
    upstream.port = turnstile.port
    gateway = Gateway(tmp_path / "gw", upstream)
    gateway.start().people()
    with (
        psycopg.connect(postgres.dsn(upstream.database), autocommit=True) as keeper,
        psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent,
    ):
        keeper.execute("begin; lock table log")
        texts = ("alter table log add column more int", "select 'after the cancel' from orders limit 1")
        story = threading.Thread(target=lambda: [agent.execute(text) for text in texts])
        story.start()
        until(lambda: keeper.execute("select 1 from pg_locks where not granted").fetchone())
        threading.Thread(target=agent.cancel_safe).start()
        assert turnstile.kept.wait(30)
        said = b"".join(turnstile.sent)
        keeper.execute("commit")
        time.sleep(2)
        assert b"Ptidegate" not in b"".join(turnstile.sent)[len(said) :], "asked under a cancel's eyes"
        turnstile.released.set()
        story.join(30)
        assert any(b"after the cancel" in data for data in turnstile.sent)
    turnstile.close()
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds, a minute at most."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
