"""The doctor."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from unit.cli.desk import Desk

RESOURCE = "\nresources:\n  shop: {protocol: postgres, address: '127.0.0.1:PORT', user: gw, secret: env:DOCTOR_TEST}\n"


def examined(desk: Desk, directory: Path) -> tuple[int, dict[str, Any]]:
    """Exit status, and the checks by name."""
    done = desk.types("doctor", "--config", str(directory / "tidegate.yaml"), "-o", "json")
    return done.status, {check["name"]: check for check in json.loads(done.out)}


@pytest.fixture
def configured(desk: Desk, tmp_path: Path) -> Path:
    """A first configuration with one resource whose port nobody listens on."""
    desk.types("init", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "tidegate.yaml"
    text = config.read_text().split("resources:")[0] + RESOURCE.replace("PORT", str(port))
    config.write_text(text)
    return tmp_path


def test_names_everything_that_is_wrong(desk: Desk, configured: Path) -> None:
    """A missing secret and a silent upstream are both named; what is right is said too."""
    status, checks = examined(desk, configured)
    assert status == 78
    wrong = {name for name, check in checks.items() if not check["ok"]}
    assert wrong == {"shop: secret", "shop: address"}


def test_secret_is_never_shown(desk: Desk, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor reads secrets and shows none."""
    monkeypatch.setenv("DOCTOR_TEST", "hunter2")
    _, checks = examined(desk, configured)
    assert checks["shop: secret"]["ok"]
    assert "hunter2" not in json.dumps(checks)


def test_open_data_directory_is_named(desk: Desk, configured: Path) -> None:
    """A data directory that others can look into is an error with the command that mends it."""
    (configured / "data").mkdir(mode=0o755)
    (configured / "data").chmod(0o755)
    _, checks = examined(desk, configured)
    assert (checks["data"]["ok"], "chmod 700" in checks["data"]["hint"]) == (False, True)


def test_healthy_gateway(desk: Desk, tmp_path: Path) -> None:
    """A fresh configuration has nothing wrong."""
    desk.types("init", str(tmp_path))
    done = desk.types("doctor", "--config", str(tmp_path / "tidegate.yaml"))
    assert (done.status, "error" in done.out) == (0, False)
