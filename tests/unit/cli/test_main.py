"""The command line as a whole."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.cli.main import COMMANDS, STATUS, build, main
from tidegate.errors import AgentError, ConfigError, IntegrityError, LogFailure, Refused, ResourceError, TidegateError


@pytest.mark.parametrize("command", [f"{group} {name}".split() for group, names in COMMANDS.items() for name in names])
def test_every_command_exists_and_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table can be loaded, and has a help text of its own."""
    assert main([*command, "--help"]) == 0
    assert f"tidegate {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AgentError("x", code="auth.missing"), 77),
        (AgentError("x", code="request.duration"), 65),
        (Refused("x", code="policy.refused"), 77),
        (Refused("x", code="session.unknown"), 65),
        (ConfigError("x"), 78),
        (IntegrityError("x", status=66), 66),
        (ResourceError("x"), 69),
        (LogFailure("x"), 69),
        (TidegateError("x"), 70),
        (FileNotFoundError(2, "No such file", "f"), 69),
    ],
)
def test_error_becomes_line_hint_and_status(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error is one line on standard error, and a documented exit status."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("tidegate.cli.login.logout", fail)
    assert (main(["logout"]), status in STATUS or status == 66) == (status, True)
    out, err = capsys.readouterr()
    assert (out, err.startswith("tidegate: "), err.count("\n")) == ("", True, 1)


def test_fault_shows_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of Tidegate itself has status 70 and shows the place for a report."""
    monkeypatch.setattr("tidegate.cli.login.logout", lambda: 1 / 0)
    assert main(["logout"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["token", "create"], ["sessions", "show"], ["whoami", "--x"]])
def test_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line has status 64, and a hint."""
    assert main(arguments) == 64
    assert "hint: " in capsys.readouterr().err


def test_client_commands_load_no_server() -> None:
    """Help, and running a client command, load neither the API's framework nor the store."""
    script = (
        "import sys; from tidegate.cli.main import main; main(['--help']); main(['whoami']);"
        "print([name for name in ('fastapi', 'uvicorn', 'sqlalchemy', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_module_runs() -> None:
    """`python -m tidegate` is the command."""
    done = subprocess.run([sys.executable, "-m", "tidegate", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == importlib.import_module("tidegate").__version__


def test_reader_that_goes_away(tmp_path: Path) -> None:
    """`tidegate ... | head -0` ends quietly."""
    command = f"{sys.executable} -m tidegate token create --help | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_table_and_app_agree() -> None:
    """The app has exactly the commands of the table."""
    app = build()
    for group, names in COMMANDS.items():
        target = app[group] if group else app
        found = {name for name in target if not name.startswith("-")}
        assert found == set(names) | (set(COMMANDS) - {""} if not group else set())
