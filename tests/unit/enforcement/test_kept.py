"""What a restart takes up: only what log and store agree on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.clock import SystemClock
from tidegate.enforcement.kept import held_of, row_of
from tidegate.errors import IntegrityError
from tidegate.identity.issuer import Issuer
from tidegate.model.approval import Held
from tidegate.store.box import Box
from tidegate.store.rows import Store
from unit.enforcement.desk import Desk, run
from unit.enforcement.people import BOB, PASSWORD, question


def test_a_restart_takes_up_what_log_and_store_agree_on(tmp_path: Path) -> None:
    """Waiting stays waiting, approved stays approved, used stays used."""
    ids: dict[str, str] = {}

    async def first(desk: Desk) -> None:
        for name in ("waiting", "approved", "used", "rejected"):
            asked = await desk.register.ask(question(bound=f'{{"{name}":1}}'))
            ids[name] = asked.id
            if name in ("approved", "used"):
                await desk.register.approve(asked.id, BOB, PASSWORD)
            if name == "used":
                await desk.register.use(asked.id, asked.question.digest, "s1")
            if name == "rejected":
                await desk.register.refuse(asked.id, BOB, "", PASSWORD)

    async def second(desk: Desk) -> None:
        found = {name: await desk.register.find(id) for name, id in ids.items()}
        assert {name: held.state for name, held in found.items() if held} == {
            "waiting": "waiting",
            "approved": "approved",
        }
        approved = found["approved"]
        assert approved is not None
        await desk.register.use(approved.id, approved.question.digest, "s9")
        await desk.register.approve(ids["waiting"], BOB, PASSWORD)

    run(tmp_path, first)
    run(tmp_path, second)


@pytest.mark.parametrize("edit", ["approved", "revived", "gone", "unsigned", "widened"])
def test_a_store_that_says_more_than_the_log_is_not_believed(tmp_path: Path, edit: str) -> None:
    """Whatever is done to a row, even with the gateway's own key, the approval is void."""
    asked: list[Held] = []

    async def first(desk: Desk) -> None:
        held = await desk.register.ask(question())
        asked.append(held)
        if edit == "revived":
            await desk.register.approve(held.id, BOB, PASSWORD)
            asked[0] = desk.changes[-1]
            await desk.register.use(held.id, held.question.digest, "s1")

    async def forge(desk: Desk) -> None:
        held = asked[0]
        if edit == "approved":
            held = replace(held, state="approved")
        if edit == "widened":
            held = replace(held, question=replace(held.question, bound="{}"))
        desk.store.put_approval(row_of(held, 1, Box(b"x" * 32) if edit == "unsigned" else desk.box))
        if edit == "gone":
            with desk.store._engine.begin() as connection:
                connection.exec_driver_sql("delete from approvals")

    async def second(desk: Desk) -> None:
        assert await desk.register.find(asked[0].id) is None
        assert desk.kinds()[-1] == ("used" if edit == "revived" else "voided")
        fresh = await desk.register.ask(question())
        assert fresh.id != asked[0].id

    async def in_between(desk: Desk) -> None:
        await forge(desk)

    run(tmp_path, first)
    run_without_restore(tmp_path, in_between)
    run(tmp_path, second)


def run_without_restore(path: Path, story: Callable[[Desk], Awaitable[None]]) -> None:
    """What somebody does who has the gateway's files and keys while it is stopped."""
    clock = SystemClock()
    store = Store(path / "store.sqlite", Issuer(path / "keys", "example.org", clock))
    desk = Desk(None, store, None, None, [])  # type: ignore[arg-type]
    asyncio.run(_awaited(story(desk)))
    store.close()


async def _awaited(story: Awaitable[None]) -> None:
    await story


def test_a_row_that_contradicts_itself_is_forged(tmp_path: Path) -> None:
    """The columns that lists sort by cannot differ from what is sealed."""
    asked = Held("ap_1", question(), 0, 1)
    box = Box(bytes(32))
    with pytest.raises(IntegrityError):
        held_of(replace(row_of(asked, 1, box), state="approved"), box)
    assert held_of(row_of(asked, 1, box), box) == asked
