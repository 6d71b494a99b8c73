"""Broken glass: who may, what everybody hears, and the look that somebody else must take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tidegate.enforcement.emergencies import REVIEW, Emergencies
from tidegate.errors import LogFailure, Refused
from tidegate.model.proof import Proof
from unit.enforcement.granting import YES, Granting


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granting]:
    """People, an agent, and a vault."""
    with Granting(tmp_path_factory.mktemp("emergencies")) as started:
        started.staff()
        yield started


def smash(world: Granting, *names: str, resource: str = "crm", seconds: int = 600, reason: str = "it burns") -> Any:
    """Break the glass."""
    identity = world.who(*names)
    return world.call(lambda: world.emergencies.open(identity, resource, seconds, reason, YES))


def review(world: Granting, by: str, id: str, finding: str = "nothing wrong") -> Any:
    """Look at it."""
    identity = world.who(by)
    return world.call(lambda: world.emergencies.review(identity, id, finding))


def test_a_person_gets_in_and_everybody_hears(world: Granting) -> None:
    """The leaf of the breaking comes first, then the grant; the alarm names who and why; it is for the person alone."""
    world.alarms.clear()
    row = smash(world, "alice")
    opened = world.leaves("breakglass.opened")[-1]
    activated = next(leaf for leaf in world.leaves("grant.activated") if leaf["gid"] == row.id)
    assert opened["i"] < activated["i"] and (opened["gid"], opened["how"], opened["key"]) == (row.id, "totp", "c_1")
    assert (row.kind, row.state, activated["kind"]) == ("breakglass", "active", "breakglass")
    assert "alice" not in str(opened) and "burns" not in str(opened)
    assert world.alarms == [("breakglass.opened", "alice broke the glass of crm")]
    assert world.take("alice").id == row.id
    assert world.take("alice", "claude-code") is None


def test_a_signed_proof_is_kept(world: Granting) -> None:
    """What a passkey signed can be checked later."""
    identity = world.who("alice")
    proof = Proof("passkey", "c_2", b"signature", b"signed")
    world.call(lambda: world.emergencies.open(identity, "crm", 60, "again", proof))
    leaf = world.leaves("breakglass.opened")[-1]
    assert (leaf["sig"], leaf["sgd"]) == ("c2lnbmF0dXJl", "c2lnbmVk")


@pytest.mark.parametrize(
    ("names", "resource", "seconds", "reason", "code"),
    [
        (("alice", "claude-code"), "crm", 600, "x", "breakglass.person"),
        (("bob",), "crm", 600, "x", "policy.refused"),
        (("root",), "crm", 600, "x", "policy.refused"),
        (("alice",), "shop", 600, "x", "policy.refused"),
        (("alice",), "nowhere", 600, "x", "policy.refused"),
        (("alice",), "crm", 1801, "x", "grant.ttl"),
        (("alice",), "crm", 600, "  ", "breakglass.reason"),
    ],
)
def test_nobody_else(
    world: Granting, names: tuple[str, ...], resource: str, seconds: int, reason: str, code: str
) -> None:
    """No chain with an agent, nobody whom policy does not name, not for longer, not without a word."""
    before = len(world.leaves("breakglass.opened"))
    with pytest.raises(Refused) as refused:
        smash(world, *names, resource=resource, seconds=seconds, reason=reason)
    assert refused.value.code == code
    assert len(world.leaves("breakglass.opened")) == before


def test_nothing_opens_without_durable_evidence(world: Granting, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log cannot be synced there is no grant."""

    async def fail() -> None:
        raise LogFailure("the disk is gone")

    before = len(world.store.grants())
    monkeypatch.setattr(world.log, "sync", fail)
    with pytest.raises(LogFailure):
        smash(world, "alice", reason="no disk")
    assert len(world.store.grants()) == before


def test_another_person_reviews_it_once(world: Granting) -> None:
    """Not the one who did it; somebody else, once, with a finding that is sealed."""
    row = smash(world, "alice", reason="review me")
    with pytest.raises(Refused, match="part in"):
        review(world, "alice", row.id)
    with pytest.raises(Refused, match="what you found"):
        review(world, "carol", row.id, " ")
    review(world, "carol", row.id, "she was right")
    leaf = world.leaves("breakglass.reviewed")[-1]
    assert (leaf["gid"], leaf["late"], "right" in str(leaf)) == (row.id, False, False)
    with pytest.raises(Refused, match="already"):
        review(world, "bob", row.id)
    with pytest.raises(Refused, match="no glass"):
        review(world, "bob", "g_none")


def test_another_account_of_the_same_person(world: Granting) -> None:
    """Who is the same person under another name has a part in it."""
    row = smash(world, "alice", reason="two names")
    alice, bob = world.who("alice").person, world.store.identity_named("bob")
    assert bob is not None
    world.store.put_identity(
        bob.hop.__class__(bob.subject, "bob", bob.kind, bob.groups, same=alice.subject), leaf=bob.leaf
    )
    with pytest.raises(Refused, match="part in"):
        review(world, "bob", row.id)
    world.store.put_identity(bob.hop, leaf=bob.leaf)


def test_overdue_is_told_once_and_known_after_a_restart(world: Granting) -> None:
    """Nobody looked for a day: an alert and an alarm, once; the leaves alone tell the same again."""
    row = smash(world, "alice", reason="forgotten")
    world.alarms.clear()
    case = world.emergencies.broken[row.id]
    case.opened -= (REVIEW + 1) * 1_000_000

    async def look() -> None:
        for each in world.emergencies.broken.values():
            if not each.reviewer and not each.overdue and world.emergencies._late(each):
                world.emergencies._overdue(each)

    world.call(look)
    world.call(look)
    assert [code for code, _ in world.alarms] == ["breakglass.unreviewed"]
    assert [leaf["gid"] for leaf in world.leaves("alert.raised") if leaf.get("code") == "breakglass.unreviewed"] == [
        row.id
    ]
    again = Emergencies(
        world.log, world.directory_, world.engine, world.clock, world.grants,
        resources=world.settings.resources, alarm=lambda *_: None, leaves=world.leaves(),
    )  # fmt: skip
    assert again.broken[row.id].overdue
    reviewed = {id for id, each in again.broken.items() if each.reviewer}
    assert reviewed == {id for id, each in world.emergencies.broken.items() if each.reviewer} != set()
