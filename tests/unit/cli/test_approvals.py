"""Approvals at the terminal."""

from __future__ import annotations

import json

from unit.cli.desk import Desk
from unit.web.world import World


def test_show_has_what_an_approver_needs(staffed: World, seated: Desk) -> None:
    """The exact statement, who asks through whom, the reason as the agent's word, rule, expiry and digest."""
    held = staffed.hold(staffed.session("OPS-17"), "UPDATE orders\n   SET status = 'gone'")
    shown = seated.types("approvals", "show", held.id, by="bob").out
    statement, chain = "  UPDATE orders\n     SET status = 'gone'", "alice (code) -> claude-code ("
    for part in (statement, chain, "OPS-17", held.question.digest):
        assert part in shown
    assert "[stated by the agent]" in shown
    assert "bulk-writes-need-approval" in shown


def test_list_then_approve(staffed: World, seated: Desk) -> None:
    """What waits is listed, and gone once approved."""
    held = staffed.hold(staffed.session())
    assert held.id in seated.types("approvals", "ls", by="bob").out
    assert seated.types("approvals", "approve", held.id, by="bob").status == 0
    assert held.id not in [row["id"] for row in json.loads(seated.types("approvals", "ls", "-o", "json", by="bob").out)]


def test_own_request_cannot_be_approved(staffed: World, seated: Desk) -> None:
    """The person in the chain is refused with status 77."""
    held = staffed.hold(staffed.session())
    assert seated.types("approvals", "approve", held.id, by="alice").status == 77


def test_refuse(staffed: World, seated: Desk) -> None:
    """A no ends the question."""
    held = staffed.hold(staffed.session())
    assert seated.types("approvals", "refuse", held.id, "--reason", "not today", by="bob").status == 0
    assert staffed.leaves("approval.rejected")[-1]["ap"] == held.id


def test_unknown_approval(seated: Desk) -> None:
    """What does not exist has status 65."""
    assert seated.types("approvals", "show", "ap_nothing", by="bob").status == 65
