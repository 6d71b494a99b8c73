"""Broken glass, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from unit.enforcement.granting import Granting


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granting]:
    """People, an agent, and a vault."""
    with Granting(tmp_path_factory.mktemp("glass")) as started:
        started.staff()
        yield started


def test_nobody_is_asked_for_a_proof_in_vain(world: Granting) -> None:
    """Who may not is refused before anything else."""
    assert world.post("/break-glass", "bob", {"resource": "crm", "reason": "x"}).json()["code"] == "policy.refused"


def test_it_needs_a_fresh_proof(world: Granting) -> None:
    """A login alone does not break the glass."""
    answer = world.post("/break-glass", "alice", {"resource": "crm", "reason": "x", "seconds": 60})
    assert (answer.status_code, answer.json()["code"]) == (401, "stepup.required")
    assert not world.leaves("breakglass.opened")


def test_from_breaking_to_review(world: Granting) -> None:
    """Listed for its person and observers; reviewed by somebody else who observes."""
    identity = world.who("alice")
    from unit.enforcement.granting import YES

    row = world.call(lambda: world.emergencies.open(identity, "crm", 60, "it burns", YES))
    assert {by: len(world.get("/break-glass", by).json()) for by in ("alice", "root", "eve")} == {
        "alice": 1, "root": 1, "eve": 0,
    }  # fmt: skip
    path = f"/break-glass/{row.id}/review"
    assert world.post(path, "eve", {"finding": "fine"}).json()["code"] == "policy.refused"
    reviewed = world.post(path, "root", {"finding": "fine"}).json()
    assert (reviewed["who"], reviewed["reviewed_by"]) == ("alice", "root")
    assert world.get("/break-glass", "root", unreviewed=True).json() == []
