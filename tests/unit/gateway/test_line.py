"""The line between a worker and its supervisor: order, errors, limits, and what a cut line does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import Refused
from tidegate.gateway.line import LARGEST, Handler, Line

Story = Callable[[Line, Line, list[str]], Awaitable[None]]


def play(story: Story, handlers: Mapping[str, Handler] | None = None) -> list[str]:
    """Run a story over two joined ends; gives who noticed that the other was gone."""
    lost: list[str] = []

    async def run() -> None:
        ours, theirs = socket.socketpair()
        one = Line({}, lambda: lost.append("one"))
        other = Line(handlers or {}, lambda: lost.append("other"))
        loop = asyncio.get_running_loop()
        for end, line in ((ours, one), (theirs, other)):
            await loop.create_unix_connection(lambda line=line: line, sock=end)  # type: ignore[misc]
        async with asyncio.timeout(20):
            await story(one, other, lost)
            one.close()
            await both_gone(lost)

    asyncio.run(run())
    return lost


async def both_gone(lost: list[str]) -> None:
    """Until both ends have noticed."""
    while len(lost) < 2:  # noqa: ASYNC110 - the loop's own next step is what is waited for
        await asyncio.sleep(0)


async def _slow(words: Mapping[str, Any]) -> str:
    await asyncio.sleep(0.01)
    return str(words["text"])


def _no(words: Mapping[str, Any]) -> None:
    raise Refused("no room", rule="r", hint="Later.", code="gateway.full")


def test_questions_and_answers() -> None:
    """Answers find their questions, whichever is ready first."""

    async def story(one: Line, other: Line, lost: list[str]) -> None:
        slow, quick = one.request("slow", text="a"), one.request("quick", text="b")
        assert (await quick, await slow) == ("b", "a")

    play(story, {"slow": _slow, "quick": lambda words: words["text"]})


def test_errors_cross_the_line() -> None:
    """A refusal arrives as the refusal it was."""

    async def story(one: Line, other: Line, lost: list[str]) -> None:
        with pytest.raises(Refused, match="no room") as caught:
            await one.ask("no", 5)
        assert (caught.value.code, caught.value.rule, caught.value.hint) == ("gateway.full", "r", "Later.")

    play(story, {"no": _no})


def test_a_deadline() -> None:
    """A question that nobody answers ends."""

    async def story(one: Line, other: Line, lost: list[str]) -> None:
        with pytest.raises(TimeoutError):
            await one.ask("never", 0.05)

    play(story, {"never": lambda _: asyncio.Event().wait()})


def test_the_other_side_goes() -> None:
    """Every open question ends at once when the line is cut, and later ones too."""

    async def story(one: Line, other: Line, lost: list[str]) -> None:
        waiting = one.request("never")
        other.close()
        with pytest.raises(ConnectionError):
            await waiting
        with pytest.raises(ConnectionError):
            await one.ask("quick", 5)
        one.tell("quick")

    assert sorted(play(story, {"never": lambda _: asyncio.Event().wait()})) == ["one", "other"]


@pytest.mark.parametrize(
    "garbage", [b"\x00\x00\x00\x02{]", b"\xff\xff\xff\xff", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x02{}"]
)
def test_garbage_cuts_the_line(garbage: bytes) -> None:
    """What is no frame, or too large for one, ends the line for both."""

    async def story(one: Line, other: Line, lost: list[str]) -> None:
        assert one._transport is not None
        one._transport.write(garbage)
        await both_gone(lost)

    play(story)


def test_an_answer_too_large_is_an_error() -> None:
    """A worker is not lost for having much to say."""

    async def story(one: Line, other: Line, lost: list[str]) -> None:
        with pytest.raises(Exception, match="too large"):
            await one.ask("much", 10)
        assert await one.ask("little", 10) == "x"

    play(story, {"much": lambda _: "x" * LARGEST, "little": lambda _: "x"})


@given(st.lists(st.integers(1, 40), max_size=30))
def test_frames_survive_any_split(sizes: list[int]) -> None:
    """However the bytes are cut on their way, the same words arrive in the same order."""
    heard: list[str] = []
    line = Line({"say": lambda words: heard.append(words["text"])}, lambda: None)
    line._transport = object()  # type: ignore[assignment]
    frames = b""
    for number in range(10):
        body = b'{"do":"say","of":{"text":"%d"}}' % number
        frames += len(body).to_bytes(4, "big") + body
    for size in [*sizes, len(frames)]:
        line.data_received(frames[:size])
        frames = frames[size:]
    assert heard == [str(number) for number in range(10)]
