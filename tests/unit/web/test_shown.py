"""Pages and answers show values as notices do."""

from __future__ import annotations

from tidegate.model import shown
from tidegate.web.shown import safe


def test_it_is_the_same_everywhere() -> None:
    """What is safe is decided in one place."""
    assert safe is shown.safe
