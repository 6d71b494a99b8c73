"""Sessions, over HTTP."""

from __future__ import annotations

from tidegate.store.rows import SessionRow
from unit.web.world import World


def test_own_sessions_only(staffed: World) -> None:
    """A person sees their own sessions, an observer all, others none, by list and by id."""
    sid = str(staffed.session().id)
    seen = {by: sid in staffed.get("/sessions", by).text for by in ("alice", "root", "eve", "bob")}
    assert seen == {"alice": True, "root": True, "eve": False, "bob": False}
    assert staffed.get(f"/sessions/{sid}", "eve").json()["code"] == "session.unknown"


def test_past_sessions_come_page_by_page(staffed: World) -> None:
    """Ended sessions are listed from the index, newest first, by cursor."""
    person = staffed.get("/me", "alice").json()["subject"]
    for number in range(5):
        row = SessionRow(f"past-{number}", (person,), "alice", "shop", started=1000 + number, ended=2000, reason="done")
        staffed.store.put_session(row)
    found: list[str] = []
    cursor = str(2000)
    while cursor:
        answer = staffed.get("/sessions", "alice", limit=2, cursor=cursor).json()
        found += [row["sid"] for row in answer["items"]]
        cursor = answer["next"]
    assert found == [f"past-{number}" for number in reversed(range(5))]


def test_kill_own_session(staffed: World) -> None:
    """A person ends their own session, with the reason sealed in the log."""
    session = staffed.session()
    assert staffed.post(f"/sessions/{session.id}/kill", "alice", {"reason": "enough"}).status_code == 200
    assert (session.ended, staffed.leaves("session.killed")[-1]["sid"]) == ("killed", str(session.id))


def test_kill_needs_the_session_or_operate(staffed: World) -> None:
    """Others do not even find the session; an operator ends it."""
    session = staffed.session()
    assert staffed.post(f"/sessions/{session.id}/kill", "eve").status_code == 404
    assert staffed.post(f"/sessions/{session.id}/kill", "root").status_code == 200


def test_replay_is_an_event_before_it_is_seen(staffed: World) -> None:
    """Looking at a replay is in the log, by whom and of which session; a stranger's try shows nothing."""
    session = staffed.session()
    assert staffed.get(f"/sessions/{session.id}/replay", "eve").status_code == 404
    assert staffed.get(f"/sessions/{session.id}/replay", "alice").status_code == 200
    opened = staffed.leaves("replay.opened")[-1]
    assert (opened["of_sid"], opened["by"]) == (str(session.id), session.identity.person.subject)
