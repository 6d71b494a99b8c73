"""Secrets from a terminal or a file, never from an argument."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tidegate.cli import typed
from tidegate.cli.credentials import write_private
from tidegate.errors import AgentError, ConfigError


def test_file_and_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over the environment; - is standard input; the line break is not part of it."""
    write_private(tmp_path / "one", "first secret\nsecond line\n")
    write_private(tmp_path / "two", "second secret\r\n")
    monkeypatch.setenv(typed.FILE, str(tmp_path / "one"))
    monkeypatch.setattr("sys.stdin", io.StringIO("typed in\nmore\n"))
    found = [typed.password("?"), typed.fresh(tmp_path / "two"), typed.password("?", Path("-"))]
    assert found == ["first secret", "second secret", "typed in"]


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    """It is refused, without its content."""
    (tmp_path / "open").write_text("first secret")
    (tmp_path / "open").chmod(0o640)
    with pytest.raises(ConfigError) as caught:
        typed.kept(tmp_path / "open")
    assert "secret" not in str(caught.value)


def test_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can type, so the error names the way for programs."""
    monkeypatch.delenv(typed.FILE, raising=False)
    monkeypatch.setattr(typed, "there", lambda: False)
    with pytest.raises(AgentError) as caught:
        typed.password("?")
    assert typed.FILE in caught.value.hint


def test_a_code_is_typed_unseen_or_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal as a password is, else a line of the input: never an argument that others see."""
    monkeypatch.setattr("sys.stdin", io.StringIO("ABCD-EFGH\nmore\n"))
    assert typed.line("Code") == "ABCD-EFGH"
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr(typed, "there", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: f" {prompt}")
    assert typed.line("Code") == "Code:"
