"""Sessions at the terminal."""

from __future__ import annotations

import json

from unit.cli.desk import Desk
from unit.web.world import World


def test_list_and_show(staffed: World, seated: Desk) -> None:
    """A live session is listed and shown with its chain and counts."""
    session = staffed.session()
    staffed.ask(session, "SELECT 1")
    sid = str(session.id)
    assert sid in [row["sid"] for row in json.loads(seated.types("sessions", "ls", "-o", "json", by="alice").out)]
    shown = seated.types("sessions", "show", sid, by="alice").out
    assert "alice -> claude-code" in shown
    assert "1 operations" in shown


def test_replay_tells_the_story(staffed: World, seated: Desk) -> None:
    """Each statement with verdict, rule, approver and outcome."""
    session = staffed.session()
    staffed.ask(session, "SELECT 1")
    staffed.ask(session, "DROP TABLE orders")
    held = staffed.hold(session)
    seated.types("approvals", "approve", held.id, by="bob")
    told = seated.types("sessions", "replay", str(session.id), by="alice").out
    for part in ("SELECT 1", "ok, 3 rows, 120 bytes", "DROP TABLE orders", "refuse  rule no-ddl", "granted by bob"):
        assert part in told


def test_kill(staffed: World, seated: Desk) -> None:
    """One's own session ends; somebody else's is not even found."""
    session = staffed.session()
    assert seated.types("sessions", "kill", str(session.id), by="eve").status == 65
    assert seated.types("sessions", "kill", str(session.id), "--reason", "enough", by="alice").status == 0
    assert session.ended == "killed"
