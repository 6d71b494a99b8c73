"""Policy explained, over HTTP."""

from __future__ import annotations

from unit.web.world import World


def explain(world: World, by: str, identity: str, statement: str) -> dict[str, object]:
    """The first operation's explanation."""
    body = {"identity": identity, "resource": "shop", "statement": statement}
    answer = world.post("/policy/explain", by, body)
    found: dict[str, object] = answer.json()["operations"][0] if answer.status_code == 200 else answer.json()
    return found


def test_explains_what_would_happen(staffed: World) -> None:
    """The explanation has the effect, the rules, and a line for every rule and hop."""
    found = explain(staffed, "alice", "alice/claude-code", "DROP TABLE orders")
    assert (found["effect"], found["rules"], found["because"]) == ("refuse", ["no-ddl"], "Through migrations only.")
    assert "claude-code: no-ddl (refuse) matches" in str(found["lines"])


def test_about_others_needs_observe(staffed: World) -> None:
    """Nobody learns what others may do, unless they observe the gateway."""
    assert explain(staffed, "eve", "alice", "SELECT 1")["code"] == "policy.refused"
    assert explain(staffed, "root", "alice", "SELECT 1")["effect"] == "allow"


def test_resources_are_not_enumerated(staffed: World) -> None:
    """What one may not connect to is told as what is not there, and nothing of its objects."""

    def told(by: str, identity: str, resource: str) -> tuple[int, str]:
        answer = staffed.post(
            "/policy/explain", by, {"identity": identity, "resource": resource, "statement": "SELECT 1"}
        )
        return answer.status_code, answer.text

    assert told("eve", "eve", "shop") == told("eve", "eve", "absent") == told("alice", "alice", "crm")
    assert told("root", "alice", "crm")[0] == 200


def test_nothing_is_logged_as_done(staffed: World) -> None:
    """Asking leaves no intent in the log."""
    before = len(staffed.leaves("op.intent"))
    explain(staffed, "alice", "alice", "UPDATE orders SET a = 1")
    assert len(staffed.leaves("op.intent")) == before
