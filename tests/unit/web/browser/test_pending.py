"""What waits for a proof."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.web.browser import pending
from tidegate.web.browser.pending import LIFE, MOST_OF_ONE, Pending
from unit.web.browser.test_visits import Hours


async def deed(_caller: object, _proof: object) -> None:
    """Nothing."""


def test_it_is_done_once_by_who_asked() -> None:
    """Another login does not get it, nor anybody twice."""
    clock: Any = Hours()
    store = Pending(clock)
    store.put("ch_1", "v1", deed, "/me")
    assert store.take("ch_1", "v2") is None
    found = store.take("ch_1", "v1")
    assert found
    assert (found.deed, found.next) == (deed, "/me")
    assert store.take("ch_1", "v1") is None


def test_it_ends() -> None:
    """After five minutes it is not done any more."""
    clock: Any = Hours()
    store = Pending(clock)
    store.put("ch_1", "v1", deed, "/me")
    clock.hours = LIFE / 3600
    assert store.take("ch_1", "v1") is None


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One login keeps a few, and all together no more than the limit; the oldest give way."""
    monkeypatch.setattr(pending, "MOST", 8)
    clock: Any = Hours()
    store = Pending(clock)
    for n in range(20):
        store.put(f"a{n}", "v1", deed, "/me")
    assert len(store._waiting) == MOST_OF_ONE
    for n in range(20):
        store.put(f"b{n}", f"w{n}", deed, "/me")
    assert len(store._waiting) == 8
