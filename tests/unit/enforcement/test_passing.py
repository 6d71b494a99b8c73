"""What is kept for a few minutes: for its owner, once, and not without limit."""

from __future__ import annotations

from tidegate.enforcement.passing import ALL, EACH, LIFE, Passing
from unit.identity.conftest import Watch


def test_taken_once_by_its_owner_in_time() -> None:
    """Nobody else finds it, it is gone once taken, and after its life."""
    clock = Watch()
    passing: Passing[str] = Passing(clock)
    id = passing.put("u_1", "ticket")
    assert (passing.take("u_2", id), passing.find("u_1", id)) == (None, "ticket")
    assert (passing.take("u_1", id), passing.take("u_1", id)) == ("ticket", None)
    id = passing.put("u_1", "ticket")
    clock.seconds += LIFE
    assert passing.take("u_1", id) is None


def test_room_is_limited_for_each_and_for_all() -> None:
    """The oldest go first, and nobody's flood drops what another keeps while there is room for all."""
    passing: Passing[int] = Passing(Watch())
    other = passing.put("u_2", 0)
    ids = [passing.put("u_1", each) for each in range(EACH + 3)]
    assert [passing.find("u_1", id) for id in ids] == [None] * 3 + list(range(3, EACH + 3))
    assert passing.find("u_2", other) == 0
    for each in range(ALL):
        passing.put(f"p_{each}", each)
    assert passing.find("u_2", other) is None
    assert len(passing._kept) == ALL
