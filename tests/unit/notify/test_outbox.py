"""Notices on their way: over a real store, through failures, hangs, crashes and floods."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.clock import SystemClock
from tidegate.errors import ConfigError, LogFailure, Refused
from tidegate.identity.issuer import Issuer
from tidegate.model.notice import DROPPED, FAILED, SENT, WAITING, Letter, Notice
from tidegate.notify import outbox as module
from tidegate.notify.channel import Thread, Undelivered
from tidegate.notify.outbox import Outbox
from tidegate.store.box import Box
from tidegate.store.rows import Store

from .sample import notice


@dataclass
class Fake:
    """A channel that fails with these errors first, and remembers what it took."""

    quiet: frozenset[str] = frozenset()
    errors: list[Exception] = field(default_factory=list)
    taken: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hangs: bool = False
    tried: int = 0

    async def send(self, told: Notice, thread: Thread) -> Thread:
        self.tried += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append((told.id, dict(thread)))
        return {"ts": thread.get("ts", told.id)}


class Quick(SystemClock):
    """A clock that can be moved on."""

    ahead: int = 0

    def now(self) -> int:
        return super().now() + Quick.ahead


@dataclass
class Post:
    """An outbox over a real store, in a story."""

    outbox: Outbox
    store: Store
    leaves: list[tuple[str, dict[str, Any]]]

    def states(self) -> dict[str, str]:
        """What became of each letter."""
        return {letter.id: letter.state for letter in self.store.notices()}

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.005)

    async def settled(self) -> None:
        """Nothing waits any more."""
        await self.until(lambda: bool(self.states()) and WAITING not in self.states().values())


@pytest.fixture(autouse=True)
def _time() -> Iterator[None]:
    Quick.ahead = 0
    yield
    Quick.ahead = 0


def run(
    path: Path, channels: Mapping[str, Fake], story: Callable[[Post], Awaitable[None]], *, serve: bool = True
) -> None:
    """Run a story; on the same path it goes on where the last one ended."""

    async def main() -> None:
        clock, leaves = Quick(), list[tuple[str, dict[str, Any]]]()

        def record(kind: str, fields: Mapping[str, Any]) -> int:
            leaves.append((kind, dict(fields)))
            return len(leaves)

        store = Store(path / "store.sqlite", Issuer(path / "keys", "example.org", clock))
        outbox = Outbox(store, Box(bytes(32)), channels, clock, record)
        running = asyncio.create_task(outbox.run()) if serve else None
        try:
            await story(Post(outbox, store, leaves))
        finally:
            if running is not None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            store.close()

    asyncio.run(main())


def test_sent_once_with_a_leaf(tmp_path: Path) -> None:
    """The same told again is not sent again; the leaf says where to, about what, at which attempt, and nothing else."""
    chat = Fake()

    async def story(post: Post) -> None:
        for _ in range(2):
            post.outbox.put(["chat", "nobody"], notice)
        await post.settled()
        post.outbox.put(["chat"], notice)
        post.outbox.put(["chat"], lambda: notice("approved-1"))
        await post.until(lambda: len(chat.taken) == 2)
        assert post.leaves[0] == ("notice.sent", {"ch": "chat", "ap": "ap_0123", "n": 1})

    run(tmp_path, {"chat": chat}, story)
    assert chat.taken == [("ap_0123.waiting-0", {}), ("ap_0123.approved-1", {"ts": "ap_0123.waiting-0"})]


def test_nothing_is_readable_in_the_store(tmp_path: Path) -> None:
    """What it says is sealed."""

    async def story(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.settled()

    run(tmp_path, {"chat": Fake()}, story)
    content = b"".join(path.read_bytes() for path in tmp_path.glob("store.sqlite*"))
    assert b"ap_0123.waiting-0" in content
    assert b"customers" not in content
    assert b"reason-secret" not in content


def test_a_failure_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt is a leaf; the error is shown; in the end it arrives, in order."""
    monkeypatch.setattr("tidegate.notify.line.SHORTEST", 0.01)
    errors = [Undelivered("status 503"), ConfigError("no", code="config.secret"), RuntimeError("ours"), TimeoutError()]
    chat = Fake(errors=list(errors))

    async def story(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        post.outbox.put(["chat"], lambda: notice("approved-1"))
        await post.settled()
        failed = [fields for kind, fields in post.leaves if kind == "notice.failed"]
        why = ["status 503", "config.secret", "gateway.fault", "no answer in 30 seconds"]
        assert [fields["code"] for fields in failed] == why
        assert [fields["n"] for fields in failed] == [1, 2, 3, 4]
        assert not any(fields["final"] for fields in failed)

    run(tmp_path, {"chat": chat}, story)
    assert [id for id, _ in chat.taken] == ["ap_0123.waiting-0", "ap_0123.approved-1"]


def test_one_that_is_never_taken_is_given_up_and_told(tmp_path: Path) -> None:
    """At once if the other side says so; with an alert."""
    chat = Fake(errors=[Undelivered("invalid_blocks", final=True)])

    async def story(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.settled()
        (letter,) = await post.outbox.listing(10)
        assert (letter.state, letter.error, letter.attempts) == (FAILED, "invalid_blocks", 1)
        assert ("alert.raised", {"code": "notice.failed", "ch": "chat"}) in post.leaves

    run(tmp_path, {"chat": chat}, story)


def test_after_a_day_it_is_given_up(tmp_path: Path) -> None:
    """Not before."""
    chat = Fake(errors=[Undelivered("status 503"), Undelivered("status 503")])

    async def story(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.until(lambda: chat.tried == 1 and post.store.notices()[0].attempts == 1)
        assert post.store.notices()[0].state == WAITING
        Quick.ahead = module.GIVE_UP * 1_000_000
        await post.settled()
        assert post.store.notices()[0].state == FAILED

    run(tmp_path, {"chat": chat}, story)


def test_what_was_given_up_can_be_sent_again(tmp_path: Path) -> None:
    """By hand; what has arrived, or was never there, cannot."""
    chat = Fake(errors=[Undelivered("status 410", final=True)])

    async def story(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.settled()
        again = await post.outbox.retry("chat.ap_0123.waiting-0")
        assert again.state == WAITING
        await post.settled()
        for id in ("chat.ap_0123.waiting-0", "chat.ap_9.waiting-0"):
            with pytest.raises(Refused, match="no such notice"):
                await post.outbox.retry(id)

    run(tmp_path, {"chat": chat}, story)
    assert len(chat.taken) == 1


def test_a_channel_that_hangs_delays_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is left after its deadline."""
    monkeypatch.setattr(module, "DEADLINE", 0.2)
    stuck, chat = Fake(hangs=True), Fake()

    async def story(post: Post) -> None:
        for number in range(5):
            post.outbox.put(["stuck", "chat"], lambda number=number: notice(f"a-{number}"))  # type: ignore[misc]
        await post.until(lambda: len(chat.taken) == 5)
        await post.until(lambda: any(kind == "notice.failed" for kind, _ in post.leaves))
        assert stuck.tried == 1

    run(tmp_path, {"stuck": stuck, "chat": chat}, story)


def test_telling_does_no_work(tmp_path: Path) -> None:
    """Whoever tells returns before anything was made, written or sent."""
    made: list[int] = []

    async def story(post: Post) -> None:
        def make() -> Notice:
            made.append(1)
            return notice()

        post.outbox.put(["chat"], make)
        assert not made
        await post.settled()

    run(tmp_path, {"chat": Fake()}, story)
    assert made == [1]


def test_what_waits_survives_a_crash(tmp_path: Path) -> None:
    """The next start sends it; what was sent is not sent again, and threads go on."""
    chat = Fake(errors=[])

    async def before(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.settled()
        chat.errors.append(Undelivered("status 503"))
        post.outbox.put(["chat"], lambda: notice("approved-1"))
        await post.until(lambda: chat.tried == 2 and post.store.notices(states=(WAITING,))[0].attempts == 1)

    async def after(post: Post) -> None:
        await post.settled()

    run(tmp_path, {"chat": chat}, before)
    run(tmp_path, {"chat": chat}, after)
    assert chat.taken == [("ap_0123.waiting-0", {}), ("ap_0123.approved-1", {"ts": "ap_0123.waiting-0"})]


def test_what_was_told_before_the_end_is_kept(tmp_path: Path) -> None:
    """An orderly stop writes what was only in memory."""

    async def before(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.outbox.drained()
        assert post.states() == {"chat.ap_0123.waiting-0": WAITING}

    run(tmp_path, {"chat": Fake()}, before, serve=False)


def test_a_channel_that_is_gone(tmp_path: Path) -> None:
    """What waited for it is given up at the next start."""

    async def before(post: Post) -> None:
        post.outbox.put(["chat"], notice)
        await post.outbox.drained()

    async def after(post: Post) -> None:
        await post.settled()
        assert post.states() == {"chat.ap_0123.waiting-0": FAILED}

    run(tmp_path, {"chat": Fake()}, before, serve=False)
    run(tmp_path, {"other": Fake()}, after)


def test_a_letter_that_somebody_changed_is_not_sent(tmp_path: Path) -> None:
    """Nor one that was put in another's place; others still are."""
    chat = Fake()

    async def before(post: Post) -> None:
        for change in ("a", "b"):
            post.outbox.put(["chat"], lambda change=change: notice(change))  # type: ignore[misc]
        await post.outbox.drained()
        first, second = post.store.notice("chat.ap_0123.a"), post.store.notice("chat.ap_0123.b")
        assert first is not None and second is not None
        post.store.put_notice(replace(first, body=second.body))
        post.store.put_notice(replace(second, body=os.urandom(80)))
        post.outbox.put(["chat"], lambda: notice("c"))
        await post.outbox.drained()

    async def after(post: Post) -> None:
        await post.settled()
        assert [fields["code"] for kind, fields in post.leaves if kind == "notice.failed"] == ["store.forged"] * 2

    run(tmp_path, {"chat": chat}, before, serve=False)
    run(tmp_path, {"chat": chat}, after)
    assert [id for id, _ in chat.taken] == ["ap_0123.c"]


def test_a_flood_has_a_limit_and_spares_alarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest that is not urgent is dropped, and that is an alert."""
    monkeypatch.setattr("tidegate.notify.line.MOST", 3)
    monkeypatch.setattr(module, "MOST", 3)

    async def story(post: Post) -> None:
        post.outbox.put(["chat"], lambda: notice("alarm", urgent=True), urgent=True)
        await post.outbox.drained()
        for number in range(3):
            post.outbox.put(["chat"], lambda number=number: notice(f"a-{number}"))  # type: ignore[misc]
        await post.outbox.drained()
        assert post.states() == {
            "chat.ap_0123.alarm": WAITING, "chat.ap_0123.a-0": DROPPED, "chat.ap_0123.a-1": WAITING,
            "chat.ap_0123.a-2": WAITING,
        }  # fmt: skip
        assert post.leaves == [("alert.raised", {"code": "notice.dropped", "ch": "chat"})]
        # In memory, before anything is written, it is the same.
        post.outbox.put(["chat"], lambda: notice("alarm-2", urgent=True), urgent=True)
        for number in range(3, 6):
            post.outbox.put(["chat"], lambda number=number: notice(f"a-{number}"))  # type: ignore[misc]
        assert len(post.leaves) == 2

    run(tmp_path, {"chat": Fake()}, story, serve=False)


def test_what_is_no_news_for_a_channel(tmp_path: Path) -> None:
    """It is left out."""

    async def story(post: Post) -> None:
        post.outbox.put(["mail", "chat"], lambda: notice(event="approval.used"))
        await post.outbox.drained()
        assert set(post.states()) == {"chat.ap_0123.waiting-0"}

    run(tmp_path, {"mail": Fake(quiet=frozenset({"approval.used"})), "chat": Fake()}, story, serve=False)


def test_old_ones_are_forgotten(tmp_path: Path) -> None:
    """A month after, unless they wait."""

    async def story(post: Post) -> None:
        old = post.outbox._clock.now() - module.KEEP * 1_000_000 - 1
        for state in (SENT, FAILED, WAITING):
            post.store.put_notice(Letter(f"gone.ap_1.{state}", "gone", b"", state, 1, old, "", old))
        post.store.drop_notices(old + 1)
        assert post.states() == {f"gone.ap_1.{WAITING}": WAITING}

    run(tmp_path, {"chat": Fake()}, story, serve=False)


def test_without_a_log_nothing_more_is_sent(tmp_path: Path) -> None:
    """The sender ends quietly; the gateway ends for its own reasons."""
    chat = Fake()

    async def story(post: Post) -> None:
        def fails(kind: str, fields: Mapping[str, Any]) -> int:
            raise LogFailure("gone")

        post.outbox._record = fails
        running = asyncio.create_task(post.outbox.run())
        post.outbox.put(["chat"], notice)
        async with asyncio.timeout(20):
            await running

    run(tmp_path, {"chat": chat}, story, serve=False)
    assert len(chat.taken) == 1
