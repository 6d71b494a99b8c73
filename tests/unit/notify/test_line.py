"""Which letter is next."""

from __future__ import annotations

from dataclasses import replace

from tidegate.model.notice import WAITING, Letter
from tidegate.notify import line as module
from tidegate.notify.line import LONGEST, Line

SECOND = 1_000_000


def letter(about: str, change: str = "a", due: int = 0) -> Letter:
    """One that waits."""
    return Letter(f"ops.{about}.{change}", "ops", b"", WAITING, 0, due, "", 0)


def test_what_is_about_one_thing_goes_in_order() -> None:
    """A later change waits for the earlier one, even when that is tried again later; other things do not."""
    line = Line()
    for each in (letter("ap_1", "asked", due=50), letter("ap_1", "approved"), letter("ap_2", due=10)):
        line.add(each, urgent=False)
    assert line.next(5) is None
    assert line.until(5) == 5 / SECOND
    found = line.next(60)
    assert found is not None and found.id == "ops.ap_2.a"
    line.remove(found.id)
    found = line.next(60)
    assert found is not None and found.id == "ops.ap_1.asked"
    line.remove(found.id)
    found = line.next(60)
    assert found is not None and found.id == "ops.ap_1.approved"


def test_one_that_is_tried_again_keeps_its_place() -> None:
    """It does not go behind what was made later about the same."""
    line = Line()
    first = letter("ap_1", "asked")
    line.add(first, urgent=False)
    line.add(letter("ap_1", "approved"), urgent=False)
    line.add(replace(first, attempts=1), urgent=False)
    found = line.next(1)
    assert found is not None and found.attempts == 1


def test_a_channel_that_fails_rests_longer_each_time_to_a_cap() -> None:
    """From a second to an hour, never less than half of it, and not at all once it works."""
    line = Line()
    line.add(letter("ap_1"), urgent=False)
    pauses = [line.failed(0, 0) / SECOND for _ in range(20)]
    for index, pause in enumerate(pauses):
        whole = min(LONGEST, 2**index)
        assert whole / 2 <= pause <= whole
    assert len(set(pauses)) == len(pauses)
    assert line.next(int(pauses[-1] * SECOND) - 1) is None
    line.wake()
    assert line.next(0) is not None
    assert line.failed(0, 0) <= SECOND


def test_what_the_other_side_asks_for_is_kept_within_reason() -> None:
    """Retry-After counts, but not for ever."""
    assert Line().failed(0, 30) == 30 * SECOND
    assert Line().failed(0, 10**9) == LONGEST * SECOND


def test_the_oldest_that_is_not_urgent_is_pushed_out() -> None:
    """Alarms stay; when there is nothing else, the oldest goes."""
    line = Line()
    for number in range(module.MOST + 1):
        line.add(letter(f"ap_{number}"), urgent=number == 0)
    surplus = line.surplus()
    assert surplus is not None and surplus.about == "ap_1"
    line.remove("ops.ap_1.a")
    assert line.surplus() is None
    assert len(line) == module.MOST


def test_nothing_waits() -> None:
    """An empty line has nothing to do, ever."""
    assert (Line().next(10**18), Line().until(0), Line().surplus()) == (None, None, None)
