"""Places to wait."""

from __future__ import annotations

import pytest

from tidegate.errors import Refused
from tidegate.web.waiting import MOST, MOST_OF_ONE, Waits


def test_one_cannot_take_all() -> None:
    """A person has some places, all together have more; each comes back, also after an error."""
    waits = Waits()
    with pytest.raises(ZeroDivisionError), waits.place("u_1"):
        raise ZeroDivisionError
    held = [waits.place("u_1") for _ in range(MOST_OF_ONE)]
    for each in held:
        each.__enter__()
    with pytest.raises(Refused), waits.place("u_1"):
        pass
    with waits.place("u_2"):
        pass
    others = [waits.place(f"u_{number}") for number in range(2, 2 + MOST - MOST_OF_ONE)]
    for each in others:
        each.__enter__()
    with pytest.raises(Refused), waits.place("u_new"):
        pass
    for each in (*held, *others):
        each.__exit__(None, None, None)
    with waits.place("u_1"):
        assert len(waits._now) == 1
