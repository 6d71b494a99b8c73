"""`tidegate env`: scripts for shells, in which no value is more than a value."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tidegate.cli.env import own_shell, script
from unit.cli.desk import Desk
from unit.web.world import World

WHO = ("shop", "--agent", "claude-code")
HOSTILE = "a'b\"c $(touch pwned) `touch pwned` \\ \\' ; \u2019; x"


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
def test_a_shell_reads_back_what_was_meant(shell: str, tmp_path: Path) -> None:
    """Whatever is in a value, the shell has exactly it, and runs none of it."""
    text = "\n".join([*script("sh", {"VALUE": HOSTILE}, ["GONE"]), 'printf %s "$VALUE"; printf %s "${GONE-unset}"'])
    path = shutil.which(shell)
    if path is None:
        pytest.fail(f"{shell} is not installed")
    done = subprocess.run(
        [path, "-c", text], env={"GONE": "x"}, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout == f"{HOSTILE}unset"
    assert list(tmp_path.iterdir()) == []


def test_other_shells_quote_by_their_own_rules() -> None:
    """fish has two escapes within quotes; PowerShell doubles each of its five quotes."""
    assert script("fish", {"A": "it's \\"}, ["B"]) == ["set -e B", "set -gx A 'it\\'s \\\\'"]
    assert script("powershell", {"A": "a'b\u2019c"}, []) == ["$Env:A = 'a''b\u2019\u2019c'"]


@pytest.mark.parametrize(
    ("path", "shell"), [("/usr/bin/fish", "fish"), ("/bin/zsh", "sh"), ("pwsh", "powershell"), ("", "sh")]
)
def test_the_shell_of_the_person(path: str, shell: str) -> None:
    """What $SHELL names decides the language."""
    assert own_shell(path) == shell


def test_variables_name_files(staffed: World, seated: Desk) -> None:
    """The variables lead to private files, and the token stands in one of them only."""
    done = seated.types("env", *WHO, "--json", by="alice")
    variables = json.loads(done.out)["environment"]
    passfile = Path(variables["PGPASSFILE"])
    token = passfile.read_text().strip().rsplit(":", 1)[1]
    assert staffed.issuer.verify(token, "resource:shop").chain[1] == "a_claude-code"
    assert token not in done.out + done.err
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    assert stat.S_IMODE(passfile.parent.stat().st_mode) == 0o700


def test_end_removes_the_files(seated: Desk) -> None:
    """--end leaves no file, and its script takes every variable back."""
    seated.types("env", *WHO, by="alice")
    done = seated.types("env", *WHO, "--end", "--shell", "sh", by="alice")
    assert "unset PGPASSFILE" in done.out and "export" not in done.out
    assert not list((seated.home / "alice" / "env").glob("*/passfile"))


def test_a_directory_that_is_open_to_others_is_refused(seated: Desk) -> None:
    """The token is not written where others read."""
    seated.types("env", *WHO, by="alice")
    (seated.home / "alice" / "env" / "shop@claude-code").chmod(0o755)
    done = seated.types("env", *WHO, by="alice")
    assert (done.status, "others may read" in done.err) == (78, True)
    (seated.home / "alice" / "env" / "shop@claude-code").chmod(0o700)
