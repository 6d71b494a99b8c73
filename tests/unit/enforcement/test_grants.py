"""Grants from the request to their end: what is in the log, when the clock runs, and what opens nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tidegate.enforcement.grants import BURST
from tidegate.enforcement.revocations import Bar
from tidegate.errors import AgentError, IntegrityError, LogFailure, Refused
from tidegate.model.approval import APPROVED, GRANT, Answer
from tidegate.model.verdict import Effect
from unit.enforcement.granting import YES, Granting


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Granting]:
    """People, an agent, and a vault."""
    with Granting(tmp_path_factory.mktemp("granting")) as started:
        started.staff()
        yield started


def test_policy_approves_at_once(world: Granting) -> None:
    """Where policy allows, the grant is approved when it is asked for, and its clock runs."""
    before = world.clock.now()
    row = world.ask("alice", "claude-code", resource="shop")
    assert (row.state, row.approval, row.seconds) == ("approved", "", 600)
    assert before + 600_000_000 <= row.expires <= world.clock.now() + 600_000_000
    leaf = world.leaves("grant.requested")[-1]
    assert (leaf["gid"], leaf["act"], leaf["how"]) == (row.id, list(row.subjects), "policy")
    assert row.id not in [leaf["gid"] for leaf in world.leaves("grant.activated")]


def test_people_approve_and_the_clock_starts_then(world: Granting) -> None:
    """Nothing is usable before the yes; from the yes on it lasts as long as was asked, and the yes is used up."""
    row = world.ask("alice", "claude-code")
    assert (row.state, world.take("alice", "claude-code")) == ("requested", None)
    held = world.answer(row)
    given = world.row(row.id)
    assert (given.state, given.expires) == ("approved", held.yes[0].moment + 600_000_000)
    used = world.leaves("approval.used")[-1]
    assert used["ap"] == row.approval
    assert world.call(lambda: world.approvals.find(row.approval)).state == "used"  # type: ignore[union-attr]


def test_it_is_active_from_its_first_use(world: Granting) -> None:
    """The first use is the leaf that sessions refer to; later ones are not."""
    row = world.ask("alice", "claude-code", reason="first use")
    world.answer(row)
    world.take("alice", "claude-code")
    leaf = next(leaf for leaf in world.leaves("grant.activated") if leaf["gid"] == row.id)
    active = world.row(row.id)
    assert (leaf["exp"], leaf["ap"], leaf["kind"], active.state, active.leaf) == (
        active.expires, row.approval, "timed", "active", leaf["i"],
    )  # fmt: skip
    world.take("alice", "claude-code")
    assert len([leaf for leaf in world.leaves("grant.activated") if leaf["gid"] == row.id]) == 1


def test_a_grant_is_for_its_chain_alone(world: Granting) -> None:
    """What the agent was given is not the person's, nor another resource's, nor the other way round."""
    world.answer(world.ask("alice", "claude-code", reason="its own"))
    assert world.take("alice") is None
    assert world.take("bob") is None


def test_a_no_ends_it(world: Granting) -> None:
    """A refusal is a leaf, and the request opens nothing."""
    row = world.ask("alice", reason="please")
    world.answer(row, yes=False)
    leaf = world.leaves("grant.denied")[-1]
    assert (world.row(row.id).state, leaf["gid"], leaf["how"]) == ("denied", row.id, "rejected")
    assert world.take("alice") is None


def test_asked_again_it_is_the_same(world: Granting) -> None:
    """An agent that repeats itself does not fill the approvers' list; other words are another question."""
    first, second = world.ask("alice", reason="again"), world.ask("alice", reason="again")
    other = world.ask("alice", reason="and another")
    assert first.id == second.id != other.id
    for row in (first, other):
        world.answer(row, yes=False)


def test_withdrawn(world: Granting) -> None:
    """What was taken back can be approved no more, and cannot be taken back twice."""
    row = world.ask("alice", reason="never mind")
    world.call(lambda: world.grants.withdraw(row, row.subjects[0]))
    with pytest.raises(Refused):
        world.answer(row)
    assert world.row(row.id).state == "denied"
    with pytest.raises(Refused, match="denied"):
        world.call(lambda: world.grants.withdraw(world.row(row.id), row.subjects[0]))


@pytest.mark.parametrize("by", ["alice", "root", "eve"])
def test_who_may_not_approve(world: Granting, by: str) -> None:
    """Nobody of the chain, no administrator who is no approver, no stranger."""
    row = world.ask("alice", "claude-code", reason=f"not by {by}")
    with pytest.raises(Refused):
        world.answer(row, by)
    assert world.row(row.id).state == "requested"
    world.answer(row, yes=False)


@pytest.mark.parametrize(
    ("names", "resource", "seconds", "code"),
    [
        (("eve",), "crm", 600, "policy.refused"),
        (("bob",), "crm", 600, "policy.refused"),
        (("alice",), "nowhere", 600, "policy.refused"),
        (("alice",), "crm", 7201, "grant.ttl"),
        (("alice",), "shop", 3601, "grant.ttl"),
        (("alice",), "shop", 9, "grant.ttl"),
    ],
)
def test_what_policy_refuses(world: Granting, names: tuple[str, ...], resource: str, seconds: int, code: str) -> None:
    """Refused with the rule, and an event; what is not there is told as what is not given."""
    with pytest.raises(Refused) as refused:
        world.ask(*names, resource=resource, seconds=seconds)
    assert refused.value.code == code
    assert world.leaves("grant.denied")[-1]["how"] == "policy"


def test_a_resource_that_is_not_there_sounds_like_one_that_nobody_gives(world: Granting) -> None:
    """Names cannot be tried out."""
    said = []
    for name in ("nowhere", "crm"):
        with pytest.raises(Refused) as refused:
            world.ask("eve", resource=name)
        said.append(
            (refused.value.code, refused.value.rule, refused.value.hint, refused.value.message.replace(name, "?"))
        )
    assert said[0] == said[1]


def test_a_token_needs_the_yes(world: Granting) -> None:
    """Minting where people must say yes is refused with the way to ask; afterwards it works, within the grant."""
    refused = world.post("/tokens", "bob", {"resource": "crm"})
    assert refused.status_code == 403
    refused = world.mint(agent="claude-code", resource="crm", reason="x")
    if refused.status_code == 201:  # another test's grant is still good
        world.post("/kill", "root", {"what": "all"})
        refused = world.mint(agent="claude-code", resource="crm", reason="x")
    assert (refused.json()["code"], "tidegate request new crm" in refused.json()["hint"]) == ("grant.needed", True)
    row = world.ask("alice", "claude-code", seconds=60, reason="a token")
    world.answer(row)
    minted = world.mint(agent="claude-code", resource="crm", ttl=3600).json()
    assert minted["grant"] == row.id
    assert (minted["expires"] - 1) * 1_000_000 <= world.row(row.id).expires


@pytest.mark.parametrize("between", ["approval", "use"])
def test_the_kill_switch_takes_what_was_asked(world: Granting, between: str) -> None:
    """A request from before the bar is withdrawn, and a yes from before it is never activated."""
    row = world.ask("alice", "claude-code", reason=f"kill before {between}")
    if between == "use":
        world.answer(row)
    assert world.post("/kill", "root", {"what": "resource", "name": "crm"}).status_code == 200
    if between == "approval":
        with pytest.raises(Refused):
            world.answer(row)
    assert world.take("alice", "claude-code") is None


def test_a_bar_without_rows_is_enough(world: Granting) -> None:
    """Even if the store was not told, a grant from before the bar is not activated."""
    row = world.ask("alice", "claude-code", reason="a bar")
    world.answer(row)
    world.revocations.add(Bar("resource", "crm", world.log.size, world.clock.now()).word)
    assert world.take("alice", "claude-code") is None
    world.revocations._bars.clear()


def test_an_approver_who_was_disabled(world: Granting) -> None:
    """A yes of somebody who is disabled before it is used opens nothing."""
    world.login("dave", "approvers")
    row = world.ask("alice", "claude-code", reason="dave said yes")
    dave = world.who("dave")
    held = world.call(lambda: world.approvals.find(row.approval))
    assert held is not None
    world.revocations.add(dave.person.subject)
    answered = replace(held, state=APPROVED, yes=(_answer(world, dave),))
    world.approvals._cases[row.approval].held = answered
    with pytest.raises(Refused, match="disabled"):
        world.call(lambda: world.grants._answered(answered))
    assert world.row(row.id).state == "requested"


def _answer(world: Granting, who: Any) -> Any:
    person = who.person
    return Answer(person.subject, person.name, person.groups, world.clock.now(), "totp")


def test_a_chain_that_changed(world: Granting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Approved, but policy refuses by now: the yes is void and nothing is given."""
    row = world.ask("alice", "claude-code", reason="changed")

    async def fell(*_: object) -> bool:
        return False

    monkeypatch.setattr(world.grants, "_stands", fell)
    world.answer(row)
    assert world.row(row.id).state == "denied"
    assert world.call(lambda: world.approvals.find(row.approval)).state == "voided"  # type: ignore[union-attr]


def test_no_grant_without_durable_evidence(world: Granting, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log cannot be synced, no row is written."""
    before = len(world.store.grants())

    async def fail() -> None:
        raise LogFailure("the disk is gone")

    monkeypatch.setattr(world.log, "sync", fail)
    with pytest.raises(LogFailure):
        world.ask("alice", "claude-code", resource="shop", reason="no disk")
    assert len(world.store.grants()) == before


def test_over_on_time(world: Granting) -> None:
    """When its time has come it is a leaf, and the row says so."""
    row = world.ask("alice", "claude-code", resource="shop", seconds=10, reason="short")
    world.store.put_grant(replace(row, expires=world.clock.now() - 1))
    world.call(world.grants._sweep)
    assert world.row(row.id).state == "expired"
    assert row.id in [leaf["gid"] for leaf in world.leaves("grant.expired")]


def test_a_row_edited_by_hand(world: Granting) -> None:
    """A request that somebody calls approved in the store's file is refused as forged."""
    row = world.ask("alice", "claude-code", reason="by hand")
    path = world.settings.data / "store.sqlite"
    with sqlite3.connect(path) as store:
        store.execute("update grants set state = 'approved', expires = expires + 3600000000 where id = ?", (row.id,))
    try:
        with pytest.raises(IntegrityError):
            world.take("alice", "claude-code")
    finally:
        with sqlite3.connect(path) as store:
            store.execute(
                "update grants set state = 'requested', expires = expires - 3600000000 where id = ?", (row.id,)
            )
    world.answer(row, yes=False)


def test_what_people_see(world: Granting) -> None:
    """The question is the terms, with the reason as stated, and its digest is over them."""
    row = world.ask("alice", "claude-code", reason="look")
    held = world.call(lambda: world.approvals.find(row.approval))
    assert held is not None
    question = held.question
    assert (question.matter, question.statement, question.because) == (
        GRANT, "Connect to crm for 10m, from the approval on.", "It is the vault.",
    )  # fmt: skip
    assert '"secs":600' in question.bound and '"why":"look"' in question.bound
    world.answer(row, yes=False)


def test_a_start_goes_on(world: Granting) -> None:
    """Approved while nobody was there to hear it: the next start gives the grant; unknown to the register: denied."""
    row = world.ask("alice", "claude-code", reason="a restart")
    world.grants._asked.clear()
    bob = world.who("bob")
    world.call(lambda: world.approvals.approve(row.approval, bob, YES))
    assert world.row(row.id).state == "requested"
    world.call(world.grants._resume)
    assert world.row(row.id).state == "approved"
    lost = replace(row, id="g_lost", state="requested", approval="ap_none")
    world.store.put_grant(lost)
    world.call(world.grants._resume)
    assert world.row("g_lost").state == "denied"


def test_a_token_under_the_grant_that_is_named(world: Granting) -> None:
    """Where policy gives grants by itself, the one that was asked for is used if it is named, and nobody else's is."""
    first = world.ask("alice", "claude-code", resource="shop", seconds=1200, reason="first")
    world.ask("alice", "claude-code", resource="shop", seconds=2400, reason="longer")
    minted = world.mint(agent="claude-code", resource="shop", ttl=60, grant=first.id).json()
    assert (minted["grant"], world.row(first.id).state) == (first.id, "active")
    for name in (("alice",), ("bob",)):
        other = world.ask(*name, resource="shop", reason="not the agent's")
        refused = world.mint(agent="claude-code", resource="shop", ttl=60, grant=other.id)
        assert (refused.status_code, refused.json()["code"]) == (403, "grant.missing")
    assert world.mint(agent="claude-code", resource="crm", ttl=60, grant=first.id).json()["code"] == "grant.missing"


def test_policy_that_refuses_now_refuses_the_named_grant(world: Granting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grant from before does not outlive the rule that gave it."""
    row = world.ask("alice", "claude-code", resource="shop", reason="from before")
    before = world.engine.ability

    def refuse(identity: Any, resource: Any, verb: str) -> Any:
        return replace(before(identity, resource, verb), effect=Effect.REFUSE)

    monkeypatch.setattr(world.engine, "ability", refuse)
    identity = world.who("alice", "claude-code")
    with pytest.raises(Refused) as refused:
        world.call(lambda: world.grants.for_token("u_1", identity, "shop", 60, "", row.id))
    assert refused.value.code == "policy.refused"


def test_who_asks_too_often_waits(world: Granting) -> None:
    """Each of a chain's last hops has its own pace; what is too much leaves no leaf."""
    world.login("mallory")
    leaves = len(world.leaves("grant.denied"))
    codes = []
    for _ in range(BURST + 3):
        try:
            world.ask("mallory", resource="crm")
        except (Refused, AgentError) as error:
            codes.append(error.code)
    assert codes[:BURST] == ["policy.refused"] * BURST and codes[-1] == "request.slowed"
    assert len(world.leaves("grant.denied")) < leaves + BURST + 3
    world.ask("alice", "claude-code", resource="shop", reason="another's pace")
