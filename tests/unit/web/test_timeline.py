"""A session's time line."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.model.operation import Operation, Request
from unit.web.world import Tables, World


def replay(world: World, sid: object) -> Any:
    """A session's replay as alice sees it."""
    return world.get(f"/sessions/{sid}/replay", "alice").json()


def test_operations_with_verdict_and_outcome(staffed: World) -> None:
    """Each statement stands there in order with its verdict, rules, rows and outcome."""
    session = staffed.session()
    staffed.ask(session, "SELECT 1")
    staffed.ask(session, "DROP TABLE orders")
    told = replay(staffed, session.id)
    found = [(op["statement"], op["verdict"], op["rules"], op["outcome"]["status"]) for op in told["operations"]]
    assert found == [
        ("SELECT 1", "allow", ["read-and-write"], "ok"),
        ("DROP TABLE orders", "refuse", ["no-ddl"], "refused"),
    ]
    assert (told["operations"][0]["outcome"]["rows"], told["unread"]) == (3, [])


def test_what_a_part_was_worth_alone(staffed: World) -> None:
    """A part of a refused text keeps its own decision beside the verdict on the whole."""
    session = staffed.session()
    parts = tuple(Operation(Tables().classify(text)[0]) for text in ("SELECT 1", "DROP TABLE orders"))
    staffed.call(lambda: session.judge(Request(b"", parts)))
    found = [(op["verdict"], op["alone"]) for op in replay(staffed, session.id)["operations"]]
    assert found == [("refuse", "allow"), ("refuse", "refuse")]


def test_approvals_stand_at_their_operation(staffed: World) -> None:
    """A held statement shows who approved it, by name."""
    session = staffed.session()
    held = staffed.hold(session)
    staffed.post(f"/approvals/{held.id}/approve", "bob")
    facts = replay(staffed, session.id)["operations"][0]["approvals"]
    assert ("granted", "bob") in [(fact["what"], fact["by"]) for fact in facts]


def test_sessions_do_not_mix(staffed: World) -> None:
    """Two sessions at the same time each have their own statements."""
    first, second = staffed.session(), staffed.session()
    staffed.ask(first, "SELECT 'first'")
    staffed.ask(second, "SELECT 'second'")
    told = [[op["statement"] for op in replay(staffed, each.id)["operations"]] for each in (first, second)]
    assert told == [["SELECT 'first'"], ["SELECT 'second'"]]


def test_altered_statement_is_named_and_not_shown(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sealed statement that is not what the leaf commits to is reported, never shown."""
    session = staffed.session()
    staffed.ask(session, "SELECT 'genuine'")
    forged = b'{"text": "SELECT forged", "parameters": ""}'
    monkeypatch.setattr("tidegate.audit.seal.OpenVault.opening", lambda self, index, name: (bytes(32), forged))
    told = replay(staffed, session.id)
    assert told["operations"][0]["statement"] == "[not readable]"
    assert "is not what the leaf commits to" in told["unread"][0]


def test_erased_keys_are_named(staffed: World) -> None:
    """When a session's keys are gone the time line stays, and says what cannot be read."""
    session = staffed.session()
    staffed.ask(session, "SELECT 1")
    for path in (staffed.settings.data / "keys").glob(f"{session.id}.*"):
        path.unlink()
    told = replay(staffed, session.id)
    assert (len(told["operations"]), len(told["unread"])) == (1, 1)


def test_a_long_session_comes_in_pages(staffed: World) -> None:
    """No answer has more than a page of operations; the pages together have each of them once, in order."""
    session = staffed.session()
    for number in range(5):
        staffed.ask(session, f"SELECT {number}")
    path, leaves, cursor = f"/sessions/{session.id}/replay", [], None
    while True:
        page = staffed.get(path, "alice", limit=2, **({"cursor": cursor} if cursor else {})).json()
        leaves += [operation["leaf"] for operation in page["operations"]]
        assert len(page["operations"]) <= 2
        if (cursor := page["next"]) is None:
            break
    assert len(set(leaves)) == 5 and leaves == sorted(leaves)
