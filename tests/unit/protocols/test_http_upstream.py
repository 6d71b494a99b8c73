"""A session's upstream side outlives the connections that carry it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tidegate.enforcement.stream import Stream
from tidegate.errors import ResourceError
from tidegate.protocols.http_upstream import Kept


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.aborted

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class Scene:
    """A conversation and the connections made for it."""

    def __init__(self) -> None:
        self.between, self.spent = True, False
        self.wires: list[Wire] = []
        self.streams: list[Stream] = []
        self.heard, self.lost, self.flow = b"", 0, list[bool]()
        self.failing = False
        self.kept = Kept(self.made(), self.connect, self)
        self.kept.feed(self.hear, self.lose, self.flow.append)

    def renewed(self) -> None:
        self.spent = False

    def made(self) -> Stream:
        wire, stream = Wire(), Stream()
        stream.connection_made(wire)
        self.wires.append(wire)
        self.streams.append(stream)
        return stream

    async def connect(self) -> Stream:
        await asyncio.sleep(0)
        if self.failing:
            raise ResourceError("it is down")
        return self.made()

    def hear(self, data: bytes) -> None:
        self.heard += data
        self.between = data.endswith(b".")

    def lose(self) -> None:
        self.lost += 1

    def ask(self, data: bytes) -> None:
        self.between = False
        self.kept.write(data)


def run(story: Callable[[Scene], Awaitable[None]]) -> Scene:
    """Play a story."""

    async def play() -> Scene:
        scene = Scene()
        await story(scene)
        return scene

    return asyncio.run(play())


def test_a_connection_that_ends_between_requests_is_opened_again() -> None:
    """What is written meanwhile waits for it, and the agent with it."""

    async def story(scene: Scene) -> None:
        scene.ask(b"one")
        scene.streams[0].data_received(b"first.")
        scene.streams[0].eof_received()
        scene.ask(b"two")
        scene.kept.write(b" and more")
        assert scene.flow == [False]
        for _ in range(3):
            await asyncio.sleep(0)
        scene.streams[1].data_received(b"second.")

    scene = run(story)
    assert scene.wires[0].written == b"one" and scene.wires[1].written == b"two and more"
    assert scene.heard == b"first.second." and not scene.lost and scene.flow == [False, True]


def test_a_connection_that_ends_under_a_request_is_lost() -> None:
    """For the session too."""

    async def story(scene: Scene) -> None:
        scene.ask(b"one")
        scene.streams[0].data_received(b"fir")
        scene.streams[0].eof_received()

    scene = run(story)
    assert scene.lost == 1 and len(scene.wires) == 1


def test_a_spent_connection_is_given_up() -> None:
    """As soon as its last answer is heard; what it says later reaches nobody."""

    async def story(scene: Scene) -> None:
        scene.ask(b"one")
        scene.spent = True
        scene.streams[0].data_received(b"first.")
        assert scene.wires[0].aborted and not scene.spent
        scene.ask(b"two")
        scene.streams[0].data_received(b"evil")
        await asyncio.sleep(0.01)
        scene.streams[0].data_received(b"evil")

    assert run(story).heard == b"first."


def test_what_nobody_asked_for_is_not_heard() -> None:
    """Neither before a request nor after its answer; the connection is given up."""

    async def story(scene: Scene) -> None:
        scene.streams[0].data_received(b"evil")
        scene.ask(b"one")
        await asyncio.sleep(0.01)

    scene = run(story)
    assert scene.wires[0].aborted and scene.heard == b"" and scene.wires[1].written == b"one"


def test_a_server_that_does_not_come_back() -> None:
    """Is lost when it is needed."""

    async def story(scene: Scene) -> None:
        scene.failing = True
        scene.streams[0].eof_received()
        assert not scene.lost
        scene.ask(b"one")
        await asyncio.sleep(0.01)

    assert run(story).lost == 1


def test_a_pause_holds_for_the_next_connection() -> None:
    """And closing gives up what is being opened."""

    async def story(scene: Scene) -> None:
        scene.streams[0].eof_received()
        scene.kept.pause()
        scene.ask(b"one")
        await asyncio.sleep(0.01)
        assert scene.wires[1].paused
        scene.kept.resume()
        assert not scene.wires[1].paused
        scene.streams[1].data_received(b".")
        scene.streams[1].eof_received()
        scene.ask(b"two")
        await scene.kept.close(0.0)

    scene = run(story)
    assert len(scene.wires) == 2
