"""How things are shown."""

from __future__ import annotations

import json

import pytest

from tidegate.cli import screen

NOW = 1_800_000_000_000_000


@pytest.fixture(autouse=True)
def fresh_console() -> None:
    """The console looks at standard output anew in each test."""
    screen.console.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "now"), (-5, "5s ago"), (898, "in 14m 58s"), (7200, "in 2h"), (-200_000, "2d 7h ago")],
)
def test_age(seconds: int, said: str) -> None:
    """A time is told by its distance from now, in its two largest units."""
    assert screen.age(NOW + seconds * 1_000_000, NOW) == said


def test_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns start at the same place in every line."""
    screen.table(("name", "state"), [("a", "x"), ("long-name", "y")], empty="none")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["NAME       STATE", "a          x", "long-name  y"]


def test_empty_table_leaves_stdout_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """That there is nothing is said on standard error only."""
    screen.table(("name",), [], empty="Nobody yet.")
    assert tuple(capsys.readouterr()) == ("", "Nobody yet.\n")


def test_nothing_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and markup in data are shown, not obeyed, in tables, facts, statements and JSON."""
    evil = "\x1b]0;owned\x07[red]x[/red]\u202e"
    screen.table(("a",), [(evil,)], empty="")
    screen.facts([("name", evil)])
    screen.statement(evil)
    screen.as_json({"name": evil})
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert shown.count("[red]x[/red]") == 4


def test_no_colours_unless_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Piped output has no colour codes and no lines cut to a width."""
    screen.facts([("state", "allow"), ("long", "x" * 500)])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "x" * 500 in shown


def test_statement_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A statement is shown exactly, line by line, indented."""
    screen.statement("SELECT 1,\n  2")
    assert capsys.readouterr().out == "  SELECT 1,\n    2\n"


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON output reads back as what it was."""
    screen.as_json({"name": "größe"})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown) == {"name": "größe"}
