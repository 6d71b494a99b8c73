"""`tidegate request`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from unit.cli.desk import Desk
from unit.enforcement.granting import Granting


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granting]:
    """People, an agent, and a vault."""
    with Granting(tmp_path_factory.mktemp("cli")) as started:
        started.staff()
        yield started


@pytest.fixture
def at(world: Granting, desk: Desk) -> Desk:
    """Everybody has logged in."""
    desk.seats(world, "root", "alice", "bob", "eve")
    return desk


def test_from_asking_to_the_answer(world: Granting, at: Desk) -> None:
    """The note names the approval; once somebody said yes it says until when; lists have it."""
    words = ("request", "new", "crm", "--for", "30m", "--agent", "claude-code", "--reason", "OPS-1")
    asked = json.loads(at.types(*words, "-o", "json", by="alice").out)
    assert "waits" in at.types(*words, by="alice").err
    world.answer(world.row(asked["id"]))
    done = at.types("request", "show", asked["id"], "--wait", by="alice")
    assert (done.status, "approved" in done.out) == (0, True)
    assert "may use shop until" in at.types(*words[:2], "shop", "--reason", "y", by="alice").err
    assert asked["id"] in at.types("request", "ls", by="alice").out


def test_a_no_is_status_1(world: Granting, at: Desk) -> None:
    """Scripts see that it was denied; withdrawing is one."""
    asked = json.loads(at.types("request", "new", "crm", "--reason", "no", "-o", "json", by="alice").out)
    assert at.types("request", "withdraw", asked["id"], by="alice").status == 0
    assert at.types("request", "show", asked["id"], by="alice").status == 1


def test_refusal(at: Desk) -> None:
    """Who may not has status 77."""
    assert at.types("request", "new", "crm", by="eve").status == 77
