"""`tidegate kill`."""

from __future__ import annotations

import pytest

from unit.cli.desk import Desk
from unit.web.world import World


def test_it_says_what_it_ended(staffed: World, seated: Desk) -> None:
    """One line with the numbers."""
    session = staffed.session()
    done = seated.types("kill", "--agent", "claude-code", "--reason", "OPS-1", by="root")
    assert (done.status, "Ended agent claude-code: 1 sessions" in done.err, session.ended) == (0, True, "killed")


@pytest.mark.parametrize("words", [(), ("--all", "--agent", "x"), ("--session", "a", "--resource", "b")])
def test_one_thing_at_a_time(seated: Desk, words: tuple[str, ...]) -> None:
    """Nothing, or two things, is a slip: nothing is ended."""
    assert seated.types("kill", *words, by="root").status == 65


def test_refusal(seated: Desk) -> None:
    """Who may not has status 77."""
    assert seated.types("kill", "--all", by="alice").status == 77
