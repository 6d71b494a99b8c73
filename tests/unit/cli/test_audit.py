"""The audit log at the terminal."""

from __future__ import annotations

import json
from pathlib import Path

from unit.cli.desk import Desk
from unit.web.world import World


def test_tail_ends_with_the_newest(staffed: World, seated: Desk) -> None:
    """The newest event is the last line."""
    staffed.mint(reason="the last thing")
    rows = json.loads(seated.types("audit", "tail", "--limit", "3", "-o", "json", by="root").out)
    assert [row["k"] for row in rows][-1] == "token.issued"
    lines = seated.types("audit", "tail", "--limit", "3", by="root").out.splitlines()
    assert "token.issued" in lines[-1]


def test_show_opens_what_is_sealed(staffed: World, seated: Desk) -> None:
    """One event is shown with its sealed parts and its hash."""
    staffed.mint(reason="OPS-99")
    index = staffed.leaves("grant.activated")[-1]["i"]
    shown = seated.types("audit", "show", str(index), by="root").out
    assert "OPS-99" in shown
    assert "leaf hash" in shown


def test_needs_observe(seated: Desk) -> None:
    """Without the ability the status is 77."""
    assert seated.types("audit", "tail", by="alice").status == 77


def test_verify(tmp_path: Path, desk: Desk) -> None:
    """A whole log has status 0 and says what could not be proven; one flipped byte gives status 1."""
    with World(tmp_path) as world:
        world.staff()
    data = world.settings.data
    whole = desk.types("audit", "verify", str(data))
    assert (whole.status, "not proven: " in whole.out) == (0, True)
    entries = max(
        (path for path in data.glob("log/*/tile/entries/**/*") if path.is_file()), key=lambda p: p.stat().st_mtime
    )
    damaged = bytearray(entries.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    entries.write_bytes(damaged)
    assert desk.types("audit", "verify", str(data)).status == 1
