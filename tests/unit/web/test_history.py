"""Approvals that are over."""

from __future__ import annotations

from unit.web.world import World


def over(world: World) -> str:
    """The id of an approval that bob gave and the session used."""
    held = world.hold(world.session("OPS-3"), "UPDATE orders SET a = 'over'")
    world.post(f"/approvals/{held.id}/approve", "bob")
    world.call(lambda: world.waiting)
    world.call(lambda: world.chronicle.drained())
    return held.id


def test_history_is_listed_without_statements(staffed: World) -> None:
    """The list has what became of it and who approved; the statement stays sealed."""
    id = over(staffed)
    row = next(row for row in staffed.get("/approvals", "alice", state="all").json()["items"] if row["id"] == id)
    assert (row["state"], row["approved_by"], row["statement"]) == ("used", ["bob"], "")


def test_statement_is_opened_on_request_as_an_event(staffed: World) -> None:
    """One past approval is shown with its exact statement, and that somebody looked is in the log."""
    id = over(staffed)
    assert staffed.get(f"/approvals/{id}", "bob").json()["statement"] == "UPDATE orders SET a = 'over'"
    assert staffed.leaves("replay.opened")[-1]["by"] == staffed.get("/me", "bob").json()["subject"]


def test_strangers_see_no_history(staffed: World) -> None:
    """Who neither asked, nor answered, nor observes sees nothing of it."""
    id = over(staffed)
    assert id not in staffed.get("/approvals", "eve", state="all").text
    assert staffed.get(f"/approvals/{id}", "eve").status_code == 404


def test_history_comes_page_by_page(staffed: World) -> None:
    """Cursors give every past approval once."""
    expected = {over(staffed) for _ in range(3)}
    found: list[str] = []
    cursor: str | None = None
    while True:
        answer = staffed.get(
            "/approvals", "root", state="all", limit=2, **({"cursor": cursor} if cursor else {})
        ).json()
        found += [row["id"] for row in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    assert expected <= set(found)
    assert len(found) == len(set(found))
