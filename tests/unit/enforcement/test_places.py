"""Places for sessions are counted before one opens."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.enforcement.places import Places
from tidegate.errors import Refused


def full(places: Places) -> bool:
    """Whether nobody else gets in."""
    try:
        asyncio.run(places.take("one more"))
    except Refused as refused:
        assert refused.code == "gateway.full"
        return True
    places.free("one more")
    return False


def test_the_last_place() -> None:
    """Who comes when all are taken is refused; a freed place, even freed twice, is one place."""
    places = Places(2)
    for sid in ("a", "b"):
        asyncio.run(places.take(sid))
    assert full(places)
    places.free("a")
    places.free("a")
    assert not full(places)
    asyncio.run(places.take("c"))
    assert full(places)


@pytest.mark.parametrize(("worker", "left"), [(1, 2), (2, 1), (3, 0)])
def test_a_worker_that_is_gone(worker: int, left: int) -> None:
    """All its places are free again, and nobody else's."""
    places = Places(3)
    for sid, holder in (("a", 1), ("b", 1), ("c", 2)):
        asyncio.run(places.take(sid, holder))
    assert places.left(worker) == left
    assert full(places) is (left == 0)
