"""Cancel requests name a session by keys; nothing else moves anything."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.enforcement.cancels import CancelDesk
from tidegate.enforcement.session import Session
from tidegate.errors import ResourceError
from unit.web.world import World


class Counter:
    """Stands where the upstream is asked to give up."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


def uncounted(code: str, peer: str) -> None:
    """Where wrong keys are counted."""


@pytest.fixture
def busy(staffed: World) -> Session:
    """A session with something under way upstream."""
    session = staffed.session()
    session.busy = lambda: True
    return session


def test_right_keys_cancel_after_their_intent(staffed: World, busy: Session) -> None:
    """The upstream is asked once, and the log says so first."""
    desk, upstream = CancelDesk(staffed.log, uncounted), Counter()
    number, secret = desk.register(busy, upstream)
    staffed.call(lambda: desk.cancel(number, secret))
    leaf = staffed.leaves("gateway.statement")[-1]
    assert (leaf["sid"], leaf["op"], upstream.count) == (str(busy.id), "cancel", 1)


def test_wrong_keys_do_nothing(staffed: World, busy: Session) -> None:
    """Neither a wrong secret nor an unknown number moves anything, nor says so."""
    desk, upstream = CancelDesk(staffed.log, uncounted), Counter()
    number, secret = desk.register(busy, upstream)
    wrong = bytes(byte ^ 1 for byte in secret)
    for keys in ((number, wrong), (number ^ 1, secret), (number ^ 1, b"\0" * 4)):
        staffed.call(lambda keys=keys: desk.cancel(*keys))  # type: ignore[misc]
    assert upstream.count == 0


def test_an_idle_session_has_nothing_to_cancel(staffed: World) -> None:
    """A late cancel must not hit what the session does next."""
    desk, upstream = CancelDesk(staffed.log, uncounted), Counter()
    keys = desk.register(staffed.session(), upstream)
    staffed.call(lambda: desk.cancel(*keys))
    assert upstream.count == 0


def test_a_held_request_is_withdrawn(staffed: World, busy: Session) -> None:
    """While people are asked, a cancel takes the question back, and the upstream hears nothing."""
    desk, upstream = CancelDesk(staffed.log, uncounted), Counter()
    keys = desk.register(busy, upstream)
    held = staffed.hold(busy)
    staffed.call(lambda: desk.cancel(*keys))
    assert (staffed.leaves("approval.withdrawn")[-1]["ap"], upstream.count) == (held.id, 0)


def test_keys_die_with_their_session(staffed: World, busy: Session) -> None:
    """What is forgotten opens nothing; another session's keys still do."""
    desk, gone, stays = CancelDesk(staffed.log, uncounted), Counter(), Counter()
    keys = desk.register(busy, gone)
    other = staffed.session()
    other.busy = lambda: True
    others = desk.register(other, stays)
    desk.forget(busy)
    for each in (keys, others):
        staffed.call(lambda each=each: desk.cancel(*each))  # type: ignore[misc]
    assert (gone.count, stays.count) == (0, 1)


def test_wrong_keys_are_counted(staffed: World) -> None:
    """Somebody who tries keys out is seen."""
    counted: list[tuple[str, str]] = []
    desk = CancelDesk(staffed.log, lambda code, peer: counted.append((code, peer)))
    staffed.call(lambda: desk.cancel(1, b"abcd", "peer"))
    assert counted == [("cancel.key", "peer")]


@pytest.mark.parametrize(("worker", "length"), [(0, 4), (1, 32), (255, 256)])
def test_keys_name_their_worker(staffed: World, busy: Session, worker: int, length: int) -> None:
    """The number is positive, has 31 bits, and says whose session it is; the secret has the length asked for."""
    number, secret = CancelDesk(staffed.log, uncounted, worker=worker).register(busy, Counter(), length=length)
    assert (number >> 23, len(secret)) == (worker, length) and 0 < number < 2**31


def test_keys_of_another_worker_go_there(staffed: World, busy: Session) -> None:
    """What is not ours is passed on as it came, and nothing happens here."""
    passed: list[tuple[int, bytes]] = []

    async def elsewhere(number: int, secret: bytes) -> None:
        passed.append((number, secret))

    upstream = Counter()
    desk = CancelDesk(staffed.log, uncounted, worker=3, elsewhere=elsewhere)
    number, secret = desk.register(busy, upstream)
    staffed.call(lambda: desk.cancel(number ^ 1 << 23, secret))
    assert (passed, upstream.count) == ([(number ^ 1 << 23, secret)], 0)


def test_no_key_can_name_a_worker_beyond_255() -> None:
    """Eight bits are all there is."""
    with pytest.raises(ValueError, match="256"):
        CancelDesk(Any, uncounted, worker=256)  # type: ignore[arg-type]


def test_what_ended_before_the_intent_was_durable_is_not_cancelled(staffed: World, busy: Session) -> None:
    """The reply may arrive while the cancel's intent is on its way to the disk."""
    desk, upstream = CancelDesk(staffed.log, uncounted), Counter()
    keys = desk.register(busy, upstream)
    answers = iter([True, False])
    busy.busy = lambda: next(answers)
    staffed.call(lambda: desk.cancel(*keys))
    assert upstream.count == 0


def test_nothing_is_forwarded_until_the_upstream_has_acted(staffed: World, busy: Session) -> None:
    """From the request's arrival to the upstream's word the session says so, and a second cancel adds nothing."""
    desk = CancelDesk(staffed.log, uncounted)
    seen: list[bool] = []

    async def upstream() -> None:
        await desk.cancel(*keys)
        seen.append(busy.cancelling is not None)

    keys = desk.register(busy, upstream)
    staffed.call(lambda: desk.cancel(*keys))
    assert seen == [True] and busy.cancelling is None


def test_a_cancel_that_nobody_confirms_ends_the_session(staffed: World, busy: Session) -> None:
    """It could hit the next request, so there is none; one that was never sent changes nothing."""
    ended: list[str] = []
    busy.kill = lambda reason, refusal: ended.append(refusal.code)

    async def lost() -> None:
        raise TimeoutError

    async def unreachable() -> None:
        raise ResourceError("x")

    for cancel, expected in ((unreachable, []), (lost, ["resource.cancel"])):
        desk = CancelDesk(staffed.log, uncounted)
        keys = desk.register(busy, cancel)
        staffed.call(lambda desk=desk, keys=keys: desk.cancel(*keys))  # type: ignore[misc]
        assert ended == expected and busy.cancelling is None
