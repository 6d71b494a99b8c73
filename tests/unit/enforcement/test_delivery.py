"""What is delivered to the agent waits for its evidence, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyrage
import pytest

from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import SystemClock
from tidegate.enforcement.delivery import KEPT_BACK, Delivery
from tidegate.enforcement.stream import Stream
from tidegate.errors import LogFailure


class Transport:
    """Remembers what was written, and whether it is read from."""

    def __init__(self) -> None:
        self.written = b""
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Scene:
    """A delivery over a real log, whose disk syncs when a test says so."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.agent, self.resource = Transport(), Transport()
        self.failures: list[LogFailure] = []
        self.delivery = Delivery(self._stream(self.agent), self._stream(self.resource), log, self.failures.append)

    def _stream(self, transport: Transport) -> Stream:
        stream = Stream()
        stream.transport = cast(Any, transport)
        return stream

    def intend(self) -> None:
        """An intent that what follows must wait for."""
        self.log.stage("log.heartbeat")
        self.delivery.gate = self.log.staged


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Callable[[Scene], Any]], None]:
    """Runs a story over a fresh log."""

    def run(story: Callable[[Scene], Any]) -> None:
        async def whole() -> None:
            recipients = Recipients((), (str(pyrage.x25519.Identity.generate().to_public()),))
            names = {"organisation": "example.org", "gateway": "gw1"}
            log = Log.open(tmp_path / "data", **names, clock=SystemClock(), recipients=recipients, segment=2**16)
            log.start()
            await log.sync()
            await story(Scene(log))
            if log.failed is None:
                await log.stop("test")

        asyncio.run(whole())

    return run


def test_results_wait_for_their_intent(play: Callable[..., None]) -> None:
    """Nothing before the commit; then everything, in order, and what comes later behind it."""

    async def story(scene: Scene) -> None:
        scene.delivery.deliver(b"free ")
        scene.intend()
        scene.delivery.deliver(b"one ")
        scene.delivery.deliver(b"two ")
        assert scene.agent.written == b""
        scene.log.flush()
        assert scene.agent.written == b"free "
        await scene.log.sync()
        await asyncio.sleep(0.05)
        scene.delivery.deliver(b"three")
        scene.log.flush()
        assert scene.agent.written == b"free one two three"

    play(story)


def test_an_agent_that_goes_on_asking_gets_its_answers(play: Callable[..., None]) -> None:
    """An answer waits for what was asked before it came, not for what is asked since."""

    async def story(scene: Scene) -> None:
        scene.intend()
        scene.delivery.deliver(b"one ")
        first = scene.delivery.gate
        scene.intend()
        scene.delivery.deliver(b"two")
        scene.log._waiters.release(first)
        await asyncio.sleep(0)
        scene.log.flush()
        assert scene.agent.written == b"one "
        await scene.log.sync()
        await asyncio.sleep(0.05)
        assert scene.agent.written == b"one two"

    play(story)


def test_too_much_stops_the_upstream(play: Callable[..., None]) -> None:
    """The upstream is read again once the agent has what was kept back."""

    async def story(scene: Scene) -> None:
        scene.intend()
        scene.delivery.deliver(bytes(KEPT_BACK + 1))
        assert scene.delivery.full and not scene.resource.reading
        await scene.log.sync()
        await asyncio.sleep(0.05)
        assert scene.resource.reading and len(scene.agent.written) == KEPT_BACK + 1

    play(story)


def test_a_failed_log_delivers_nothing(play: Callable[..., None]) -> None:
    """What was kept back is dropped, now and at the end, and the failure is told once."""

    async def story(scene: Scene) -> None:
        scene.intend()
        scene.delivery.deliver(b"never")
        scene.log._waiters.fail(LogFailure("the disk is gone"))
        await asyncio.sleep(0.05)
        await scene.delivery.finish()
        assert scene.agent.written == b"" and [error.message for error in scene.failures] == ["the disk is gone"]

    play(story)


def test_last_words_wait_too(play: Callable[..., None]) -> None:
    """What is kept back when the session ends goes out once it is durable."""

    async def story(scene: Scene) -> None:
        scene.intend()
        scene.delivery.deliver(b"last")
        await scene.delivery.finish()
        assert scene.agent.written == b"last"

    play(story)
