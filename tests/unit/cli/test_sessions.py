"""Sessions at the terminal."""

from __future__ import annotations

import json
from typing import Any

from tidegate.cli import sessions
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


def operation(**told: Any) -> dict[str, Any]:
    """An allowed operation of a replay, answered with no rows, but for what is told."""
    outcome = {"status": "ok", "code": "", "tag": "", "rows": 0, "bytes": 0, "masked": {}}
    return {"verdict": "allow", "alone": "allow", "rules": ["r"], "approvals": [], "outcome": outcome, **told}


def test_harmless_part_of_a_refused_text() -> None:
    """What a refused neighbour stopped was not run, and no rule that allowed it is blamed."""
    part = operation(verdict="refuse")
    assert sessions._verdict(part) == ("not run", ": another statement of the same text was refused")
    assert sessions._notes(part) == []


def test_harmless_part_of_a_held_text() -> None:
    """What waits for its neighbour says so."""
    assert sessions._verdict(operation(verdict="hold"))[1].endswith("another statement of the same text waits")


def test_outcome_without_rows_is_told_in_the_upstreams_words() -> None:
    """A change shows what it did; a reply with neither rows nor words only its status."""
    outcome = operation()["outcome"]
    assert sessions._outcome({**outcome, "tag": "UPDATE 3640"}) == "ok, UPDATE 3640"
    assert sessions._outcome(outcome) == "ok"


def test_kill(staffed: World, seated: Desk) -> None:
    """One's own session ends; somebody else's is not even found."""
    session = staffed.session()
    assert seated.types("sessions", "kill", str(session.id), by="eve").status == 65
    assert seated.types("sessions", "kill", str(session.id), "--reason", "enough", by="alice").status == 0
    assert session.ended == "killed"
