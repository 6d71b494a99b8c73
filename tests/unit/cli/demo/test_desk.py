"""A desk runs the real command with a login of its own and shows what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.cli.demo.desk import Desk
from tidegate.cli.demo.page import Page
from tidegate.errors import TidegateError


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """alice's terminal, where nobody is logged in."""
    return Desk("alice", tmp_path / "alice", tmp_path, Page())


def test_the_command_is_shown_as_typed(desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Paths below the demo's directory are shown as one would type them there."""
    desk.types("audit", "verify", str(tmp_path / "nothing"), expect=range(1, 128))
    assert "alice $ tidegate audit verify nothing" in capsys.readouterr().out


def test_a_desk_has_a_login_of_its_own(desk: Desk) -> None:
    """Without a login in its own home the command says so, whoever else is logged in."""
    with pytest.raises(TidegateError, match="not logged in"):
        desk.quietly("whoami")


def test_another_exit_status_breaks_the_promise(desk: Desk) -> None:
    """A command that ends otherwise than expected ends the demo, with its words."""
    with pytest.raises(TidegateError, match="as alice ended with status 64"):
        desk.quietly("no-such-command")
