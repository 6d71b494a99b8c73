"""Starting the gateway."""

from __future__ import annotations

from pathlib import Path

from unit.cli.desk import Desk


def test_wrong_configuration_is_named(desk: Desk, tmp_path: Path) -> None:
    """A configuration with an unknown key is refused with file and line before anything starts."""
    path = tmp_path / "tidegate.yaml"
    path.write_text("organisation: example.org\nnonsense: 1\n")
    done = desk.types("serve", "--config", str(path))
    assert (done.status, f"{path}:2" in done.err) == (78, True)
