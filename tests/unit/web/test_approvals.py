"""Held operations, over HTTP."""

from __future__ import annotations

import contextlib

from tidegate.web.waiting import MOST_OF_ONE
from unit.web.world import World


def test_approver_sees_exactly_what_would_run(staffed: World) -> None:
    """The view has statement, chain, reason as stated by the agent, rule, expiry and digest; looking is an event."""
    held = staffed.hold(staffed.session("OPS-17"), "UPDATE orders SET status = 'gone'")
    view = staffed.get(f"/approvals/{held.id}", "bob").json()
    assert (view["statement"], view["who"]) == ("UPDATE orders SET status = 'gone'", "alice -> claude-code")
    assert (view["reason"], view["stated_by"], view["rule"]) == ("OPS-17", "agent", "bulk-writes-need-approval")
    assert (view["digest"], view["may_answer"]) == (held.question.digest, True)
    assert staffed.leaves("approval.shown")[-1]["ap"] == held.id


def test_who_waits_has_few_places(staffed: World) -> None:
    """Nobody takes the connections away by which others approve and kill."""
    held = staffed.hold(staffed.session())
    taken = [staffed.services.waits.place(staffed.store.identity_named("alice").subject) for _ in range(MOST_OF_ONE)]
    with contextlib.ExitStack() as places:
        for place in taken:
            staffed.call(lambda place=place: places.enter_context(place))
        answer = staffed.get(f"/approvals/{held.id}", "alice", wait=1)
        assert answer.json()["code"] == "gateway.full"
        assert staffed.get(f"/approvals/{held.id}", "alice").status_code == 200
    assert staffed.get(f"/approvals/{held.id}", "alice", wait=1).status_code == 200


def test_nobody_in_the_chain_answers(staffed: World) -> None:
    """The person whose agent asks sees the question and cannot answer it."""
    held = staffed.hold(staffed.session())
    assert staffed.get(f"/approvals/{held.id}", "alice").json()["may_answer"] is False
    answer = staffed.post(f"/approvals/{held.id}/approve", "alice")
    assert (answer.status_code, answer.json()["code"]) == (403, "approval.self")


def test_strangers_see_nothing(staffed: World) -> None:
    """Who may neither decide nor observe finds no question, by list or by id, and cannot answer."""
    held = staffed.hold(staffed.session())
    assert staffed.get("/approvals", "eve").json()["items"] == []
    assert staffed.get(f"/approvals/{held.id}", "eve").status_code == 404
    assert staffed.post(f"/approvals/{held.id}/approve", "eve").json()["code"] == "approval.unknown"


def test_approve(staffed: World) -> None:
    """An approver's yes is in the log and takes the question off the list."""
    held = staffed.hold(staffed.session())
    assert staffed.post(f"/approvals/{held.id}/approve", "bob").json()["approved_by"] == ["bob"]
    assert staffed.leaves("approval.granted")[-1]["ap"] == held.id
    assert held.id not in [row["id"] for row in staffed.get("/approvals", "bob").json()["items"]]


def test_refuse(staffed: World) -> None:
    """An approver's no carries its reason to the requester."""
    held = staffed.hold(staffed.session())
    view = staffed.post(f"/approvals/{held.id}/refuse", "bob", {"reason": "not today"}).json()
    assert (view["state"], view["answer"]) == ("rejected", "not today")


def test_statement_cannot_steer_a_terminal(staffed: World) -> None:
    """Escape sequences and reading-order marks in a statement arrive as visible escapes."""
    held = staffed.hold(staffed.session(), "UPDATE orders SET a = '\x1b[2J\u202e'\n  , b = 1")
    view = staffed.get(f"/approvals/{held.id}", "bob").json()
    assert view["statement"] == "UPDATE orders SET a = '\\x1b[2J\\u202e'\n  , b = 1"
