"""Rule 1 for Redis: no effect before evidence, watched from outside under an fdatasync that is slow or dead."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import Gateway, Upstream
from resp import Raw
from servers import Redis

from .spy import Evidence, Spy, shim

SECRET = "upstream-secret-hunter2"
NO_SYNC = "import os; os.fdatasync = lambda fd: None; from tidegate.__main__ import main; main()"
POLICY = """
rules:
  - {id: connects, may: [connect], then: allow, for: 1h}
  - {id: all, may: [read, write], then: allow}
  - {id: no-deletes, may: [write], where: {command: [del]}, then: refuse}
"""


@dataclass
class Scene:
    """A gateway under the interposer, between agents and the spy."""

    gateway: Gateway
    spy: Spy
    evidence: Evidence
    mode: Path

    def agent(self) -> Raw:
        """One with a fresh token, let in."""
        side = Raw(self.gateway.port).say("AUTH", "shop", self.gateway.token())
        side.reads(b"+OK\r\n")
        return side


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """A server with a password."""
    with Redis(SECRET) as found:
        yield found


@contextmanager
def scene(directory: Path, server: Redis, code: str | None = None) -> Iterator[Scene]:
    """One gateway, and a spy between it and the server."""
    mode, journal = directory / "mode", directory / "journal"
    mode.write_text("ok")
    evidence = Evidence(directory / "gw" / "data", journal)
    spy = Spy(server.port, evidence)
    upstream = Upstream("127.0.0.1", spy.port, "", "", SECRET, protocol="redis")
    gateway = Gateway(directory / "gw", upstream, policy=POLICY, segment="64MiB", workers=1)
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


def play(at: Scene) -> list[str]:
    """Changes and reads in turn, in a pipeline, then a transaction; gives reads that were answered too early."""
    early = []
    agent = at.agent()
    for number in range(1, 11):
        if number % 2:
            agent.say("SET", "k", f"/*change {number}*/").reads(b"+OK\r\n")
        else:
            agent.say("GET", f"/*read {number}*/").reads(b"$-1\r\n")
            if at.evidence.intents(durable=True) < number:
                early.append(f"the reply to read {number} came before its evidence")
    for number in range(11, 21):
        agent.say("SET", "k", f"/*change {number}*/")
    agent.reads(b"+OK\r\n" * 10)
    agent.say("MULTI")
    for number in range(21, 26):
        agent.say("SET", "k", f"/*change {number}*/")
    agent.say("EXEC").reads(b"*5\r\n" + b"+OK\r\n" * 5)
    agent.close()
    return early


def test_a_slow_and_a_dead_disk(tmp_path: Path, server: Redis) -> None:
    """Each change, and each of a transaction, is durable before it is forwarded; a read before it is answered.

    While a sync does not return nothing happens. A refused transaction never reaches the server.
    """
    with scene(tmp_path, server) as at:
        at.mode.write_text("delay 15")
        assert play(at) == []
        assert at.spy.violations == [] and at.spy.seen == list(range(1, 26))
        agent = at.agent().say("MULTI").say("SET", "k", "/*change 90*/").say("DEL", "k").say("EXEC")
        agent.reads(b"-EXECABORT refused")
        at.mode.write_text("hang")
        agent.say("SET", "k", "/*change 91*/")
        assert not select.select([agent.socket], [], [], 0.5)[0]
        assert at.spy.seen == list(range(1, 26))
        at.mode.write_text("ok")
        agent.reads(b"+OK\r\n")
        assert at.spy.seen[-1] == 91


def test_the_spy_sees_a_missing_sync(tmp_path: Path, server: Redis) -> None:
    """With the sync call taken out there are violations: the test above can fail."""
    with scene(tmp_path, server, NO_SYNC) as at:
        assert play(at) and at.spy.violations
