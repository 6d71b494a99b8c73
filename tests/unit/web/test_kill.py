"""The kill switch, over HTTP."""

from __future__ import annotations

import pytest

from unit.web.world import World


@pytest.mark.parametrize("by", ["alice", "bob", "eve"])
def test_it_needs_operate(staffed: World, by: str) -> None:
    """Who does not operate the gateway ends nothing, not even what is theirs, and learns nothing of what there is."""
    for body in ({"what": "all"}, {"what": "identity", "name": "nobody"}):
        assert staffed.post("/kill", by, body).json()["code"] == "policy.refused"


def test_it_counts_what_it_ended(staffed: World) -> None:
    """The answer has the numbers."""
    session = staffed.session()
    answer = staffed.post("/kill", "root", {"what": "session", "name": str(session.id), "reason": "x"}).json()
    assert answer == {"sessions": 1, "grants": 1, "tokens": 1}


def test_only_known_things(staffed: World) -> None:
    """What to end is one of five words."""
    assert staffed.post("/kill", "root", {"what": "universe"}).status_code == 400
