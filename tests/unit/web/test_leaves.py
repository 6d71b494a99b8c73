"""Finding leaves."""

from __future__ import annotations

from tidegate.web.leaves import newest, of_session
from unit.web.world import World


def test_session_is_found_by_time(staffed: World) -> None:
    """All leaves of a session, and no others, from its first to the newest."""
    session = staffed.session()
    staffed.ask(session, "SELECT 1")
    found = of_session(staffed.log, str(session.id), session.started)
    assert [leaf["n"] for leaf in found] == list(range(1, len(found) + 1))
    assert found[0]["k"] == "session.start"


def test_clock_that_went_back_hides_nothing(staffed: World) -> None:
    """When the start is not where the time says, the whole log is read."""
    session = staffed.session()
    found = of_session(staffed.log, str(session.id), session.started + 3_600_000_000)
    assert found[0]["k"] == "session.start"


def test_newest_first_with_filter_and_cursor(staffed: World) -> None:
    """Pages of one kind give every leaf of that kind once, newest first."""
    found: list[int] = []
    below: int | None = None
    while True:
        leaves, below = newest(staffed.log, below, "identity.bound", 2)
        found += [leaf["i"] for leaf in leaves]
        if below is None:
            break
    expected = [leaf["i"] for leaf in staffed.leaves("identity.bound")]
    assert found == expected[::-1]
