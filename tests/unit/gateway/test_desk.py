"""The register from a worker's place, over a real line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tidegate.enforcement.register import Register
from tidegate.errors import LogFailure, Refused
from tidegate.gateway.desk import DistantDesk, answering
from tidegate.gateway.line import Line
from unit.enforcement.desk import Desk, run
from unit.enforcement.people import BOB, PASSWORD, question


async def joined(register: Register) -> tuple[DistantDesk, Line]:
    """A worker's desk, and the supervisor's end of the line."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    supervisor, worker = Line(answering(register), lambda: None), Line({}, lambda: None)
    await loop.create_unix_connection(lambda: supervisor, sock=ours)
    await loop.create_unix_connection(lambda: worker, sock=theirs)
    return DistantDesk(worker), supervisor


def at(path: Path, story: Callable[[Desk, DistantDesk, Line], Awaitable[None]]) -> None:
    """Run a story with both."""

    async def told(desk: Desk) -> None:
        await story(desk, *await joined(desk.register))

    run(path, told)


def test_it_is_the_supervisors(tmp_path: Path) -> None:
    """Ask, wait, use: whole questions go over the line and come back equal."""

    async def story(desk: Desk, distant: DistantDesk, _: Line) -> None:
        asked = await distant.ask(question())
        assert asked == await desk.register.find(asked.id) and asked.question == question()
        waiting = asyncio.create_task(distant.wait(asked.id, 20))
        await asyncio.sleep(0.05)
        await desk.register.approve(asked.id, BOB, PASSWORD)
        assert (await waiting).state == "approved"
        await distant.use(asked.id, asked.question.digest, "s1")
        with pytest.raises(Refused, match="used before") as refused:
            await distant.use(asked.id, asked.question.digest, "s1")
        assert refused.value.code == "approval.void"

    at(tmp_path, story)


def test_withdrawn_and_voided_from_afar(tmp_path: Path) -> None:
    """Notices reach the register in order."""

    async def story(desk: Desk, distant: DistantDesk, _: Line) -> None:
        first, second = await distant.ask(question()), await distant.ask(question(bound="{}"))
        distant.withdraw(first.id, "s1")
        distant.void(second.id, "changed")
        assert (await distant.wait(first.id, 5)).state == "withdrawn"
        assert (await distant.wait(second.id, 5)).state == "voided"
        assert desk.kinds()[-2:] == ["withdrawn", "voided"]

    at(tmp_path, story)


def test_without_its_supervisor_nothing_goes_on(tmp_path: Path) -> None:
    """Whatever is under way fails closed."""

    async def story(_: Desk, distant: DistantDesk, supervisor: Line) -> None:
        asked = await distant.ask(question())
        waiting = asyncio.create_task(distant.wait(asked.id, 20))
        await asyncio.sleep(0.05)
        supervisor.close()
        with pytest.raises(LogFailure):
            await waiting
        with pytest.raises(LogFailure):
            await distant.use(asked.id, asked.question.digest, "s1")
        with pytest.raises(LogFailure):
            await distant.ask(question(bound="{}"))

    at(tmp_path, story)
