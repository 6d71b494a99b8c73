"""The page tells the story: numbered, folded, and safe against what it shows."""

from __future__ import annotations

import pytest

from tidegate.cli.demo.page import WIDEST, Page
from tidegate.errors import TidegateError


def test_chapters_are_numbered(capsys: pytest.CaptureFixture[str]) -> None:
    """Each chapter has the next number."""
    page = Page()
    page.chapter("First", "one")
    page.chapter("Second", "two")
    shown = capsys.readouterr().out
    assert "1  First" in shown and "2  Second" in shown


def test_outside_text_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes in an answer are shown, not obeyed, and markup stays text."""
    Page().shown("\x1b[2J[red]hello")
    assert capsys.readouterr().out.strip() == "\\x1b[2J[red]hello"


def test_long_lines_fold(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is cut off and nothing is wider than the page."""
    Page().shown("x" * 500)
    lines = capsys.readouterr().out.split()
    assert "".join(lines) == "x" * 500 and max(map(len, lines)) < WIDEST


def test_recipes_stay_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A line to copy is never folded."""
    Page().recipe("Copy:", ["y" * 300])
    assert "y" * 300 in capsys.readouterr().out


def test_a_kept_promise_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """What was checked is said and counted."""
    page = Page()
    page.promise(True, "it holds")
    assert page.checks == 1 and "✓ it holds" in capsys.readouterr().out


def test_a_broken_promise_ends_the_demo() -> None:
    """The error says which promise, the hint what came back."""
    with pytest.raises(TidegateError, match="it holds") as broken:
        Page().promise(False, "it holds", "it does not")
    assert "it does not" in broken.value.hint
