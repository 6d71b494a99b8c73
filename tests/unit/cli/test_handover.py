"""The private directory: whose it is, and that nothing outlives its command for long."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path

import pytest

from tidegate.cli.handover import PREFIX, Handover, Route, private_directory
from tidegate.errors import ConfigError
from tidegate.model.recipe import Draft, Recipe
from tidegate.model.resource import Address


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where directories are made."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def route(host: str = "gw.example.org", ca: str = "PEM") -> Route:
    """A way with one file."""
    recipe = Recipe((), {"token": Draft("{{host}}:{{token}}", ":")}, {"CA": "{{ca}}"}, ("GONE",))
    return Route("shop", "", Address(host, 1), "alice", "alice", ca, 60, False, "", recipe)


def test_it_is_private_and_goes(base: Path) -> None:
    """Mode 0700, in the user's own place, and gone at the end also after an error."""
    with pytest.raises(RuntimeError), private_directory() as (directory, _):
        assert (directory.parent, stat.S_IMODE(directory.stat().st_mode)) == (base, 0o700)
        raise RuntimeError
    assert list(base.iterdir()) == []


def test_a_place_that_others_may_write_is_not_used(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime directory that is open to others is passed over."""
    open_one = base / "open"
    open_one.mkdir(mode=0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(open_one))
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    with private_directory() as (directory, _):
        assert directory.parent == base


def test_what_a_killed_command_left_is_swept(base: Path) -> None:
    """A directory whose lock nobody holds goes with the next command; one in use and a stranger's stay."""
    made = {}
    for name in ("left", "used", "foreign"):
        made[name] = base / f"{PREFIX}{name}"
        made[name].mkdir(mode=0o700)
        if name != "foreign":
            (made[name] / ".lock").touch(mode=0o600)
    held = os.open(made["used"] / ".lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    for each in made.values():
        os.utime(each, (1, 1))
    with private_directory():
        assert [name for name, each in made.items() if each.exists()] == ["used", "foreign"]
    os.close(held)


def test_a_young_directory_is_not_swept(base: Path) -> None:
    """Another command may just be about to lock what it has made."""
    young = base / f"{PREFIX}young"
    young.mkdir(mode=0o700)
    (young / ".lock").touch()
    with private_directory():
        assert young.exists()


def test_files_and_variables(base: Path) -> None:
    """Values are escaped as the file wants it; the authority is beside it; other variables are kept or taken away."""
    handover = Handover(route("::1"), base)
    handover.put("secret")
    assert (base / "token").read_text() == "\\:\\:1:secret"
    assert (base / "ca.pem").read_text() == "PEM"
    assert handover.environment({"KEPT": "1", "GONE": "2"}) == {"KEPT": "1", "CA": str(base / "ca.pem")}


def test_an_authority_that_every_machine_trusts(base: Path) -> None:
    """Without an authority of the gateway's the machine's own list is named, and no file written."""
    found = Handover(route(ca=""), base).variables["CA"]
    assert Path(found).is_file() and not (base / "ca.pem").exists()


def test_a_hostile_address(base: Path) -> None:
    """An address with a line break makes no second line."""
    with pytest.raises(ConfigError):
        Handover(route("gw\n*:*:*:*:"), base).put("secret")
    assert not (base / "token").exists()
