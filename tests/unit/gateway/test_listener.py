"""Connections are accepted, bounded in number at the door, and each ends alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError
from tidegate.gateway.listener import Listener, Serve
from tidegate.model.resource import Address

PATIENCE = 10.0


@asynccontextmanager
async def listening(serve: Serve, places: int = 10) -> AsyncIterator[int]:
    """A listener on a free port, until the end of the block."""
    listener = Listener("test", Address("127.0.0.1", 0), serve, places=places)
    await listener.open()
    assert listener._server is not None
    running = asyncio.create_task(listener.run())
    await asyncio.sleep(0)  # one turn of the loop, in which it opens its task group
    yield listener._server.sockets[0].getsockname()[1]
    listener.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def said(port: int, word: bytes) -> bytes:
    """What a connection that sends ``word`` gets until its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(word)
    answer = await reader.read()
    writer.close()
    return answer


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a loop of its own, with a deadline."""
    asyncio.run(asyncio.wait_for(test(), PATIENCE))


async def echo(stream: Stream) -> None:
    """Send one byte back; some bytes are bad luck."""
    byte = await stream.exactly(1)
    if byte == b"!":
        raise RuntimeError("a surprise")
    if byte == b"?":
        raise AgentError("garbage")
    stream.write(byte)


def test_what_is_queued_is_sent_before_the_end() -> None:
    """A connection is served, and closed only after its answer."""

    async def test() -> None:
        async with listening(echo) as port:
            assert await said(port, b"a") == b"a"

    run(test)


@pytest.mark.parametrize("word", [b"!", b"?", b""])
def test_each_ends_alone(word: bytes) -> None:
    """A surprise, an error of the tree or a peer that leaves ends one connection and no other."""

    async def test() -> None:
        async with listening(echo) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(word)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            assert await said(port, b"b") == b"b"

    run(test)


def test_the_longest_at_the_door_makes_room() -> None:
    """When the places are taken by silent connections, a new one is served and the oldest is cut off."""

    async def test() -> None:
        async with listening(echo, places=2) as port:
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            assert await said(port, b"c") == b"c"
            with suppress(ConnectionResetError):
                assert await silent[0][0].read() == b""
            silent[1][1].write(b"d")
            assert await silent[1][0].read() == b"d"

    run(test)


def test_who_has_come_further_stays_longer() -> None:
    """A newcomer that says nothing is cut off before one that has taken a step, however old that is."""

    async def step(stream: Stream) -> None:
        while await stream.exactly(1) != b".":
            stream.progress += 1
            stream.write(b"+")
        stream.write(b".")

    async def test() -> None:
        async with listening(step, places=2) as port:
            older, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"a")
            assert await older.readexactly(1) == b"+"
            newer, _ = await asyncio.open_connection("127.0.0.1", port)
            assert await said(port, b".") == b"."
            with suppress(ConnectionResetError):
                assert await newer.read() == b""
            writer.write(b".")
            assert await older.read() == b"."

    run(test)


def test_an_address_in_use_is_a_config_error() -> None:
    """The operator is told what to change."""

    async def test() -> None:
        async with listening(echo) as port:
            with pytest.raises(ConfigError, match="cannot listen on 127") as refused:
                await Listener("again", Address("127.0.0.1", port), echo, places=1).open()
            assert refused.value.code == "config.listen"

    run(test)
