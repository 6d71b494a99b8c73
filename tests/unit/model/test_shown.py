"""Text that agents wrote, made safe for a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.shown import safe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("abc\u202edef", r"abc\u202edef"),
        ("a\u200bb", r"a\u200bb"),
        ("x\x9b31m", r"x\x9b31m"),
        ("größe – naïve 漢字", "größe – naïve 漢字"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    """Controls, bidirectional marks and invisible characters become escapes; letters of any script stay."""
    assert safe(text) == shown


def test_lines_are_kept_on_request() -> None:
    """A statement keeps its own line breaks and tabs, but no carriage return."""
    assert safe("a\n\tb\rc", lines=True) == "a\n\tb\\x0dc"
    assert safe("a\nb") == r"a\x0ab"


@given(st.text())
def test_nothing_unsafe_is_left(text: str) -> None:
    """No character of a control or format category survives."""
    assert not any(unicodedata.category(char)[0] == "C" for char in safe(text))


@given(st.text())
def test_safe_is_stable(text: str) -> None:
    """Making safe text safe changes nothing, so gateway and command line may both do it."""
    assert safe(safe(text)) == safe(text)
