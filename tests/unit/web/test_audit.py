"""The audit log, over HTTP."""

from __future__ import annotations

import hashlib

import pytest

from unit.web.world import World


@pytest.mark.parametrize("path", ["/audit/leaves", "/audit/leaves/0", "/audit/checkpoint"])
def test_needs_observe(staffed: World, path: str) -> None:
    """Only who observes the gateway reads its log."""
    answer = staffed.get(path, "alice")
    assert (answer.status_code, answer.json()["code"]) == (403, "policy.refused")
    assert staffed.get(path, "root").status_code == 200


def test_leaf_with_opened_parts(staffed: World) -> None:
    """One event comes with its leaf hash and its sealed parts; opening it is an event."""
    index = staffed.leaves("identity.bound")[-1]["i"]
    shown = staffed.get(f"/audit/leaves/{index}", "root").json()
    assert shown["opened"] == {"who": "claude-code"}
    assert shown["hash"] == hashlib.sha256(b"\x00" + staffed.log.leaf(index)).hexdigest()
    assert staffed.leaves("replay.opened")[-1]["leaf"] == index


def test_leaf_beyond_the_end(staffed: World) -> None:
    """There is no leaf that has not been written."""
    assert staffed.get("/audit/leaves/99999", "root").json()["code"] == "leaf.unknown"


def test_tail_is_newest_first(staffed: World) -> None:
    """Events come newest first and go on by cursor without a gap."""
    first = staffed.get("/audit/leaves", "root", limit=3).json()
    more = staffed.get("/audit/leaves", "root", limit=3, cursor=first["next"]).json()
    indices = [leaf["i"] for leaf in first["items"] + more["items"]]
    assert indices == list(range(indices[0], indices[0] - 6, -1))
