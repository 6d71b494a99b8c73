"""Words about terms."""

from __future__ import annotations

import json

import pytest

from tidegate.enforcement.terms import ask_first, lasting


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (45, "45s"), (1800, "30m"), (5400, "1h 30m"), (3661, "1h 1m 1s")]
)
def test_how_long(seconds: int, words: str) -> None:
    """Whole units, none left out."""
    assert lasting(seconds) == words


def test_the_hint_can_be_used_as_it_stands() -> None:
    """An agent finds the path and a body that is JSON."""
    hint = ask_first("shop", "bot")
    assert "tidegate request new shop --for 30m --reason WHY --agent bot" in hint
    assert json.loads(hint[hint.index("{") : hint.rindex("}") + 1])["resource"] == "shop"
