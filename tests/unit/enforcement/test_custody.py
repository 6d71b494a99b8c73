"""Changing secrets: durable before it counts, one after the other."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tidegate.enforcement.custody import Custody, Kept
from tidegate.errors import LogFailure, Refused
from tidegate.model.identity import Identity
from tidegate.store.rows import SecretRow
from tidegate.store.secrets import Safe
from unit.web.world import World


def custody(world: World) -> tuple[Custody, Safe, Identity]:
    """The world's own, and root."""
    return world.services.custody, Safe(world.store, world.services.box), world.call(lambda: world.access.chain("root"))


def test_the_leaf_says_who_and_what_but_no_value(staffed: World) -> None:
    """Set and removed are leaves with the name and the subject; the row carries the leaf's index."""
    keeping, safe, root = custody(staffed)
    kept = staffed.call(lambda: keeping.put(root, "shop", "hunter2-hunter2"))
    staffed.call(lambda: keeping.remove(root, "shop"))
    put, removed = staffed.leaves("secret.changed")[-2:]
    assert (put["secret"], put["state"], put["by"], put["i"]) == ("shop", "set", root.person.subject, kept.leaf)
    assert (removed["secret"], removed["state"]) == ("shop", "removed")
    assert "hunter2" not in str(staffed.leaves())
    assert safe.find("shop") is None


def test_nothing_counts_before_it_is_durable(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the log cannot be synced, the old value stays, and so does what was to be removed."""
    keeping, safe, root = custody(staffed)
    staffed.call(lambda: keeping.put(root, "shop", "the-old-value"))

    async def failing() -> None:
        assert safe.value("shop") == "the-old-value"
        raise LogFailure("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(staffed.log), "sync", lambda self: failing())
        for change in (lambda: keeping.put(root, "shop", "the-new-value"), lambda: keeping.remove(root, "shop")):
            with pytest.raises(LogFailure):
                staffed.call(change)
    assert safe.value("shop") == "the-old-value"


def test_changes_follow_each_other_as_their_leaves_do(staffed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many at the same time the one with the last leaf stays, also if the disk is slow with others."""
    keeping, safe, root = custody(staffed)
    pauses = iter([0.3, *[0.0] * 20])

    def slow(self: Safe, name: str, value: str, **words: Any) -> SecretRow:
        time.sleep(next(pauses))
        return put(self, name, value, **words)

    put = Safe.put
    monkeypatch.setattr(Safe, "put", slow)

    async def many() -> list[Kept]:
        return await asyncio.gather(*(keeping.put(root, "shop", f"value-{n}") for n in range(12)))

    made = staffed.call(many)
    last = max(range(12), key=lambda n: made[n].leaf)
    row = safe.find("shop")
    assert row is not None
    assert (safe.value("shop"), row.leaf) == (f"value-{last}", made[last].leaf)


def test_it_needs_an_ability(staffed: World) -> None:
    """Whoever may not operate the gateway learns nothing of which secrets there are."""
    keeping, _, _ = custody(staffed)
    alice = staffed.call(lambda: staffed.access.chain("alice"))
    for change in (
        lambda: keeping.put(alice, "shop", "x"),
        lambda: keeping.remove(alice, "nothing"),
        lambda: keeping.listing(alice),
    ):
        with pytest.raises(Refused) as error:
            staffed.call(change)
        assert error.value.code == "policy.refused"
