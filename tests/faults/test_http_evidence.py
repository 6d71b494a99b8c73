"""Rule 1 for HTTP, watched from outside under an fdatasync that is slow or fails: no effect before evidence.

Requests of one session are numbered in a field; the n-th needs n intents in the log. A change must find its intent
durable when the server sees it, a read must find it in the kernel, and is not answered before it is durable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway import Gateway, Upstream, free_port
from servers import Api

from .spy import Evidence, Spy, shim
from .test_effect_after_evidence import NO_SYNC

POLICY = """
rules:
  - id: all
    may: [connect, read, write]
    then: allow
    for: 1h
"""


@dataclass
class Scene:
    """A gateway under the interposer, between an agent and the spy."""

    gateway: Gateway
    spy: Spy
    evidence: Evidence
    mode: Path
    port: int

    def client(self) -> httpx.Client:
        """An agent with a fresh token, on one connection."""
        token = self.gateway.token(resource="api")
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}/r/api", headers=headers, timeout=10)

    def run(self, agent: httpx.Client, first: int, last: int) -> list[str]:
        """Changes and reads in turn; gives those that were answered before their evidence."""
        early = []
        for number in range(first, last + 1):
            if number % 2:
                agent.put("/echo", content=b"x", headers={"X-Mark": f"/*change {number}*/"})
            else:
                agent.get("/customers/1", headers={"X-Mark": f"/*read {number}*/"})
            if self.evidence.intents(durable=True) < number:
                early.append(f"{number} was answered before its evidence")
        return early


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One gateway and one server."""
    yield from _scene(tmp_path, None)


def _scene(directory: Path, code: str | None) -> Iterator[Scene]:
    mode, journal, port = directory / "mode", directory / "journal", free_port()
    mode.write_text("ok")
    evidence = Evidence(directory / "gw" / "data", journal)
    with Api() as api:
        spy = Spy(api.port, evidence)
        gateway = Gateway(
            directory / "gw",
            Upstream("127.0.0.1", 1, "none", "none"),
            policy=POLICY,
            shared={"http": port},
            segment="64MiB",
            workers=1,  # the spy watches one log
            resources=f"""
  api:
    protocol: http
    address: 127.0.0.1:{spy.port}
    options: {{safe: GET, opaque: [PUT /*]}}
""",
        )
        gateway.environment = {
            "LD_PRELOAD": str(shim(directory)), "SHIM_MODE": str(mode), "SHIM_JOURNAL": str(journal)
        }  # fmt: skip
        if code is not None:
            gateway.command = [sys.executable, "-c", code]
        gateway.start().people()
        try:
            yield Scene(gateway, spy, evidence, mode, port)
        finally:
            gateway.kill()
            spy.close()


def test_slow_disk_delays_effects_and_answers(scene: Scene) -> None:
    """With every sync 15 ms late, each change is durable before it is forwarded and each read before it is answered."""
    with scene.client() as agent:
        scene.mode.write_text("delay 15")
        early = scene.run(agent, 1, 30)
        streamed = (b"y" * 100_000 for _ in range(5))
        agent.put("/upload", content=streamed, headers={"X-Mark": "/*change 31*/"})
    assert scene.spy.seen == list(range(1, 32))
    assert scene.spy.violations == [] and early == []


def test_failing_disk_ends_everything(scene: Scene) -> None:
    """After a failed sync nothing is forwarded any more, the agent is told, and the process exits with 75."""
    with scene.client() as agent:
        scene.run(agent, 1, 4)
        seen = len(scene.spy.seen)
        scene.mode.write_text("fail")
        answer = agent.put("/echo", content=b"x", headers={"X-Mark": "/*change 5*/"})
        assert answer.status_code == 503 and "audit log" in answer.json()["detail"]
    assert len(scene.spy.seen) == seen
    assert scene.gateway.process is not None and scene.gateway.process.wait(20) == 75


def test_the_spy_sees_a_missing_sync(tmp_path: Path) -> None:
    """With the sync call taken out, the spy reports violations: the tests above can fail."""
    for scene in _scene(tmp_path, NO_SYNC):
        with scene.client() as agent:
            early = scene.run(agent, 1, 6)
        assert scene.spy.violations and early
