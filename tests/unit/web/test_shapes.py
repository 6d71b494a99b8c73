"""What the API takes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tidegate.web.shapes import Enrolment, Mint, NewPerson


def test_unknown_members_are_refused() -> None:
    """A misspelt member is an error, never silently left out."""
    with pytest.raises(ValidationError):
        Mint.model_validate({"resource": "shop", "tll": 60})


def test_codes_are_not_in_repr() -> None:
    """A body with a code can be logged without giving it away."""
    assert "K7QD" not in repr(Enrolment.model_validate({"code": "K7QD", "password": "K7QD"}))


@pytest.mark.parametrize("name", ["", "Alice", "-a", "a b", "a\x1b", "x" * 64])
def test_names_are_plain(name: str) -> None:
    """A name is lower-case letters, digits, dots, dashes and underscores."""
    with pytest.raises(ValidationError):
        NewPerson(name=name)
