"""Where the command line keeps its login."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tidegate.cli.credentials import Credentials, forget, load, save, write_private
from tidegate.errors import AgentError, ConfigError

LOGIN = Credentials("http://127.0.0.1:7443", "s3cret-token", "alice", 2**31)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test."""
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_saved_login_loads_again(home: Path) -> None:
    """What was saved is loaded, from a file of mode 0600 in a directory of mode 0700, whatever the umask."""
    before = os.umask(0)
    try:
        path = save(LOGIN)
    finally:
        os.umask(before)
    assert load() == LOGIN
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(home.stat().st_mode)) == (0o600, 0o700)


def test_no_login() -> None:
    """Without a login the error says how to get one."""
    with pytest.raises(AgentError) as missing:
        load()
    assert "tidegate login" in missing.value.hint


def test_exposed_file_is_refused() -> None:
    """A file that others can read is not used."""
    save(LOGIN).chmod(0o644)
    with pytest.raises(ConfigError, match="others may read"):
        load()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"gateway": 1, "odd": 2}'])
def test_damaged_file_is_refused(text: str) -> None:
    """A file that is no login is named, without its content."""
    save(LOGIN).write_text(text)
    with pytest.raises(ConfigError, match="not a credentials file"):
        load()


def test_forget() -> None:
    """Forgetting removes the login, once."""
    save(LOGIN)
    assert (forget(), forget()) == (True, False)


def test_token_is_not_in_repr() -> None:
    """A login can be logged without its token."""
    assert "s3cret" not in repr(LOGIN)


def test_private_file_replaces_a_link(tmp_path: Path) -> None:
    """Writing over a symbolic link replaces the link and leaves what it points at alone."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to(target)
    write_private(link, "secret")
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("mine", "secret", False)
