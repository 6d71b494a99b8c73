"""Cancel requests name a session by keys; nothing else moves anything."""

from __future__ import annotations

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


@pytest.fixture
def busy(staffed: World) -> Session:
    """A session with something under way upstream."""
    session = staffed.session()
    session.busy = lambda: True
    return session


def test_right_keys_cancel_after_their_intent(staffed: World, busy: Session) -> None:
    """The upstream is asked once, and the log says so first."""
    desk, upstream = CancelDesk(staffed.log), Counter()
    number, secret = desk.register(busy, upstream)
    staffed.call(lambda: desk.cancel(number, secret))
    leaf = staffed.leaves("gateway.statement")[-1]
    assert (leaf["sid"], leaf["op"], upstream.count) == (str(busy.id), "cancel", 1)


def test_wrong_keys_do_nothing(staffed: World, busy: Session) -> None:
    """Neither a wrong secret nor an unknown number moves anything, nor says so."""
    desk, upstream = CancelDesk(staffed.log), Counter()
    number, secret = desk.register(busy, upstream)
    wrong = bytes(byte ^ 1 for byte in secret)
    for keys in ((number, wrong), (number ^ 1, secret), (number ^ 1, b"\0" * 4)):
        staffed.call(lambda keys=keys: desk.cancel(*keys))  # type: ignore[misc]
    assert upstream.count == 0


def test_an_idle_session_has_nothing_to_cancel(staffed: World) -> None:
    """A late cancel must not hit what the session does next."""
    desk, upstream = CancelDesk(staffed.log), Counter()
    keys = desk.register(staffed.session(), upstream)
    staffed.call(lambda: desk.cancel(*keys))
    assert upstream.count == 0


def test_a_held_request_is_withdrawn(staffed: World, busy: Session) -> None:
    """While people are asked, a cancel takes the question back, and the upstream hears nothing."""
    desk, upstream = CancelDesk(staffed.log), Counter()
    keys = desk.register(busy, upstream)
    held = staffed.hold(busy)
    staffed.call(lambda: desk.cancel(*keys))
    assert (staffed.leaves("approval.withdrawn")[-1]["ap"], upstream.count) == (held.id, 0)


def test_keys_die_with_their_session(staffed: World, busy: Session) -> None:
    """What is forgotten opens nothing; another session's keys still do."""
    desk, gone, stays = CancelDesk(staffed.log), Counter(), Counter()
    keys = desk.register(busy, gone)
    other = staffed.session()
    other.busy = lambda: True
    others = desk.register(other, stays)
    desk.forget(busy)
    for each in (keys, others):
        staffed.call(lambda each=each: desk.cancel(*each))  # type: ignore[misc]
    assert (gone.count, stays.count) == (0, 1)
