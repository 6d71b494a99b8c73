"""How often: a burst, then so many a minute, each by themselves."""

from __future__ import annotations

import pytest

from tidegate.enforcement.pace import TABLE, Pace
from tidegate.errors import AgentError
from unit.identity.conftest import Watch


def test_a_burst_then_a_rate() -> None:
    """What was used up comes back with time, up to the burst and no further."""
    watch = Watch()
    pace = Pace(watch, burst=3, rate=6)
    for _ in range(3):
        pace.take("a")
    with pytest.raises(AgentError) as caught:
        pace.take("a")
    assert caught.value.code == "exchange.slowed"
    watch.seconds += 10
    pace.take("a")
    with pytest.raises(AgentError):
        pace.take("a")
    watch.seconds += 10_000
    for _ in range(3):
        pace.take("a")
    with pytest.raises(AgentError):
        pace.take("a")


def test_each_by_themselves() -> None:
    """Nobody uses up another's share."""
    pace = Pace(Watch(), burst=1, rate=1)
    pace.take("a")
    pace.take("b")
    with pytest.raises(AgentError):
        pace.take("a")


def test_the_table_is_bounded() -> None:
    """The longest unseen is forgotten, and only then."""
    pace = Pace(Watch(), burst=1, rate=1)
    for at in range(TABLE + 1):
        pace.take(str(at))
    assert len(pace._left) == TABLE
    pace.take("0")
