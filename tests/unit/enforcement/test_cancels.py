"""Cancel requests name a session by keys; nothing else moves anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.enforcement.cancels import CancelDesk
from tidegate.enforcement.session import Session
from unit.web.world import World


class Counter:
    """Stands where the upstream is asked to give up."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with its people."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        yield started


@pytest.fixture
def busy(world: World) -> Session:
    """A session with something under way upstream."""
    session = world.session()
    session.busy = lambda: True
    return session


def test_right_keys_cancel_after_their_intent(world: World, busy: Session) -> None:
    """The upstream is asked once, and the log says so first."""
    desk, upstream = CancelDesk(world.log), Counter()
    number, secret = desk.register(busy, upstream)
    world.call(lambda: desk.cancel(number, secret))
    leaf = world.leaves("gateway.statement")[-1]
    assert (leaf["sid"], leaf["op"], upstream.count) == (str(busy.id), "cancel", 1)


def test_wrong_keys_do_nothing(world: World, busy: Session) -> None:
    """Neither a wrong secret nor an unknown number moves anything, nor says so."""
    desk, upstream = CancelDesk(world.log), Counter()
    number, secret = desk.register(busy, upstream)
    wrong = bytes(byte ^ 1 for byte in secret)
    for keys in ((number, wrong), (number ^ 1, secret), (number ^ 1, b"\0" * 4)):
        world.call(lambda keys=keys: desk.cancel(*keys))  # type: ignore[misc]
    assert upstream.count == 0


def test_an_idle_session_has_nothing_to_cancel(world: World) -> None:
    """A late cancel must not hit what the session does next."""
    desk, upstream = CancelDesk(world.log), Counter()
    keys = desk.register(world.session(), upstream)
    world.call(lambda: desk.cancel(*keys))
    assert upstream.count == 0


def test_a_held_request_is_withdrawn(world: World, busy: Session) -> None:
    """While people are asked, a cancel takes the question back, and the upstream hears nothing."""
    desk, upstream = CancelDesk(world.log), Counter()
    keys = desk.register(busy, upstream)
    held = world.hold(busy)
    world.call(lambda: desk.cancel(*keys))
    assert (world.leaves("approval.withdrawn")[-1]["ap"], upstream.count) == (held.id, 0)


def test_keys_die_with_their_session(world: World, busy: Session) -> None:
    """What is forgotten opens nothing; another session's keys still do."""
    desk, gone, stays = CancelDesk(world.log), Counter(), Counter()
    keys = desk.register(busy, gone)
    other = world.session()
    other.busy = lambda: True
    others = desk.register(other, stays)
    desk.forget(busy)
    for each in (keys, others):
        world.call(lambda each=each: desk.cancel(*each))  # type: ignore[misc]
    assert (gone.count, stays.count) == (0, 1)
