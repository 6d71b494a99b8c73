"""A first configuration."""

from __future__ import annotations

import stat
from pathlib import Path

from tidegate.policy.rules import load_bundle
from tidegate.settings import load
from unit.cli.desk import Desk


def test_written_files_are_valid(desk: Desk, tmp_path: Path) -> None:
    """What init writes loads: settings with the auditor's recipient, and the policy."""
    assert desk.types("init", str(tmp_path / "gw"), "--organisation", "acme.example").status == 0
    settings = load(tmp_path / "gw" / "tidegate.yaml")
    assert settings.organisation == "acme.example"
    assert settings.recording.auditors[0].startswith("age1")
    assert len(load_bundle(settings.policy.files).rules) > 4


def test_auditor_key_is_private_and_outside_the_data(desk: Desk, tmp_path: Path) -> None:
    """The key has mode 0600, and a place inside the data directory is refused."""
    desk.types("init", str(tmp_path / "gw"))
    assert stat.S_IMODE((tmp_path / "gw" / "auditor.key").stat().st_mode) == 0o600
    inside = desk.types("init", str(tmp_path / "other"), "--auditor-key", "data/auditor.key")
    assert (inside.status, (tmp_path / "other").exists()) == (78, False)


def test_nothing_is_overwritten(desk: Desk, tmp_path: Path) -> None:
    """A second init changes nothing."""
    desk.types("init", str(tmp_path))
    before = (tmp_path / "tidegate.yaml").read_bytes()
    assert desk.types("init", str(tmp_path)).status == 78
    assert (tmp_path / "tidegate.yaml").read_bytes() == before
