"""A desk runs the real command with a login of its own and shows what was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.cli.demo.desk import Desk, _shortened
from tidegate.cli.demo.page import WIDEST, Page
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
    with pytest.raises(TidegateError, match="status 77") as refused:
        desk.types("whoami")
    assert "not logged in" in refused.value.hint


def test_another_exit_status_breaks_the_promise(desk: Desk) -> None:
    """A command that ends otherwise than expected ends the demo, with its words."""
    with pytest.raises(TidegateError, match="as alice ended with status 64"):
        desk.types("no-such-command")


def test_output_is_as_wide_as_the_page(desk: Desk) -> None:
    """Commands run on a terminal of the page's width, so tables fit."""
    assert max(map(len, desk.types("--help").splitlines())) <= WIDEST


def test_a_brief_report_is_what_is_wrong() -> None:
    """Fine lines are counted; beside an error, what is never proven is left out, and without one it is not."""
    assert _shortened("  CHECK\nok a\nok b\nerror c\nnot proven: d") == "... 2 checks are ok ...\nerror c"
    assert _shortened("  CHECK\nok a\nok b\nnot proven: d") == "... 2 checks are ok ...\nnot proven: d"
    assert _shortened("no report") == "no report"
