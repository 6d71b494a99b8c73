"""Who gets in: logins, members, tokens with their grants, and their end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.audit.log import Log
from tidegate.enforcement.answers import may_answer
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.terms import SHORTEST
from tidegate.errors import AgentError, Refused
from tidegate.model.identity import Identity, Kind
from tidegate.model.proof import Proof
from unit.enforcement.people import held
from unit.web.world import PASSWORD, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice (staff) and her agent claude-code, bob (approvers) and eve."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        yield started


def who(world: World, *names: str) -> Identity:
    """The chain of these names as it stands."""
    return world.call(lambda: world.access.chain(*names))


async def by_login(action: bytes) -> Proof:
    """A proof, as a person would give it."""
    return Proof("login", "oidc:corp")


def mint(world: World, by: str, **asked: Any) -> Any:
    """Mint as ``by``; unless asked otherwise for oneself, on the shop, for a minute."""
    words = {"person": "", "agent": None, "resource": "shop", "ttl": 60, "reason": "a test", "prove": by_login, **asked}
    identity = who(world, by)
    return world.call(lambda: world.access.mint(identity, **words))


def test_bootstrap_works_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The bootstrap code makes one administrator, and never a second."""
    with World(tmp_path_factory.mktemp("fresh")) as world:
        first = world.call(lambda: world.access.bootstrap(world.code, "root", PASSWORD))
        assert first.identity.person.groups == ("admins",)
        with pytest.raises(AgentError, match="code is wrong"):
            world.call(lambda: world.access.bootstrap(world.code, "other", PASSWORD))
        assert world.access.bootstrap_code() is None


def test_code_logs_in_once(world: World) -> None:
    """An enrolment code gives one login."""
    root = who(world, "root")
    _, code = world.call(lambda: world.access.fresh_code(root, "eve"))
    assert world.call(lambda: world.access.enrol(code, PASSWORD)).identity.person.name == "eve"
    with pytest.raises(AgentError, match="code is wrong"):
        world.call(lambda: world.access.enrol(code, PASSWORD))


def test_a_person_alone_needs_a_proof(world: World) -> None:
    """Whatever way a token for oneself is asked for; for one's agent it is not needed."""
    alice = who(world, "alice")
    for attempt in (
        lambda: world.access.issue(alice, "shop", 60, by=alice.person.subject),
        lambda: world.access.mint(alice, person="", agent=None, resource="shop", ttl=60, reason=""),
    ):
        with pytest.raises(AgentError) as caught:
            world.call(attempt)
        assert caught.value.code == "stepup.required"
    assert mint(world, "alice", agent="claude-code", prove=None).grant


def test_only_operators_add_people(world: World) -> None:
    """Somebody without the ability to operate adds nobody."""
    alice = who(world, "alice")
    with pytest.raises(Refused, match="add people"):
        world.call(lambda: world.access.add_person(alice, "mallory", ["admins"]))
    assert world.store.identity_named("mallory") is None


def test_agents_get_no_groups_from_their_owner(world: World) -> None:
    """A person gives their own agent no group beyond `agents`."""
    alice = who(world, "alice")
    with pytest.raises(Refused, match="give them groups"):
        world.call(lambda: world.access.add_agent(alice, "helper", "alice", ["admins"]))
    assert world.call(lambda: world.access.add_agent(alice, "helper", "alice", [])).groups == ("agents",)


def test_member_is_in_the_log_first(world: World) -> None:
    """The row of an identity points at the leaf that says the same."""
    row = world.store.identity_named("claude-code")
    assert row is not None
    leaf = next(leaf for leaf in world.leaves("identity.bound") if leaf["i"] == row.leaf)
    assert (leaf["sub"], leaf["owner"]) == ("a_claude-code", who(world, "alice").person.subject)


def test_nobody_is_the_first_again(tmp_path: Path) -> None:
    """Not by emptying the store and starting anew, nor with a code that was put back: the log knows who there was."""
    with World(tmp_path) as world:
        world.login("alice")
        with sqlite3.connect(world.settings.data / "store.sqlite") as store:
            store.execute("DELETE FROM identities")
        assert world.access.bootstrap_code() is None
        code = world.directory_.bootstrap_code(ttl=60)
        with pytest.raises(AgentError, match="wrong, was used"):
            world.call(lambda: world.access.bootstrap(code, "mallory", PASSWORD))
        assert Revocations(world.leaves()).anybody and not Revocations().anybody


def test_grant_and_token_are_in_the_log(world: World) -> None:
    """Minting appends grant.activated, then token.issued, with subjects and no names."""
    minted = mint(world, "alice", agent="claude-code")
    grant, token = world.leaves("grant.activated")[-1], world.leaves("token.issued")[-1]
    assert (grant["gid"], grant["act"]) == (minted.grant.id, list(minted.claims.chain))
    assert (token["jti"], token["gid"], token["i"]) == (minted.claims.id, minted.grant.id, grant["i"] + 1)
    assert not any("alice" in str(leaf) for leaf in (grant, token))


def test_no_token_without_durable_evidence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log cannot be synced, no grant is stored and no token leaves."""

    async def broken(log: Log) -> None:
        raise OSError("no disk")

    before = len(world.store.grants())
    monkeypatch.setattr(Log, "sync", broken)
    with pytest.raises(OSError, match="no disk"):
        mint(world, "alice")
    assert len(world.store.grants()) == before


def test_nobody_mints_for_others(world: World) -> None:
    """A person without the ability mints neither for somebody else nor for somebody else's agent."""
    with pytest.raises(Refused, match="mint for others"):
        mint(world, "bob", person="alice")
    with pytest.raises(AgentError, match="no such identity"):
        mint(world, "bob", agent="claude-code")


def test_administrator_mints_for_others_as_far_as_they_may(world: World) -> None:
    """Who may mint for others still gives nobody more than their own rules."""
    assert mint(world, "root", person="alice", agent="claude-code").identity.title == "alice -> claude-code"
    with pytest.raises(Refused, match="eve may not connect"):
        mint(world, "root", person="eve")


def test_who_mints_for_others_approves_nothing_of_theirs(world: World) -> None:
    """The token is in the hands of the one who minted it: they have a part in what it asks, exchanged or not."""
    minted = mint(world, "root", person="alice", agent="claude-code")
    found = world.directory_.identity(world.issuer.verify(minted.token, "resource:shop"))
    own = world.directory_.identity(mint(world, "alice", agent="claude-code").claims)
    root = world.call(lambda: world.access.chain("root"))
    approver = Identity((replace(root.person, groups=("dba",)),))
    asked = held()
    may_answer(replace(asked, question=replace(asked.question, requester=own)), approver)
    with pytest.raises(Refused, match="has a part"):
        may_answer(replace(asked, question=replace(asked.question, requester=found)), approver)
    assert world.leaves("token.issued")[-2]["prf"][0] == f"minted:{root.person.subject}"


def test_whole_chain_must_be_allowed(world: World) -> None:
    """An agent's rule is not enough when its person has none."""
    eve = who(world, "eve")
    world.call(lambda: world.access.add_agent(eve, "eves-agent", "eve", []))
    with pytest.raises(Refused, match="eve -> eves-agent may not connect"):
        mint(world, "eve", agent="eves-agent")


@pytest.mark.parametrize("ttl", [-1, 0, SHORTEST - 1, 901, 10**9])
def test_life_is_limited(world: World, ttl: int) -> None:
    """An agent's token lives no longer than the rule's `for`, and not less than ten seconds."""
    with pytest.raises(Refused, match="given for 10 to 900 seconds"):
        mint(world, "alice", agent="claude-code", ttl=ttl)


def test_a_token_lives_shorter_than_its_grant(tmp_path: Path) -> None:
    """`limits.token` ends the token, not the access: what it opened lasts as long as the grant."""
    with World(tmp_path) as world:
        world.staff()
        world.access._life = 60
        minted = mint(world, "alice", agent="claude-code", ttl=600)
        assert minted.claims.expires - minted.claims.issued == 60
        assert minted.grant.expires // 1_000_000 - minted.claims.issued >= 599


def test_unknown_resource_is_refused(world: World) -> None:
    """There is no token for what is not configured, nor for the gateway itself."""
    for name in ("nowhere", "tidegate"):
        with pytest.raises(Refused, match="may not connect"):
            mint(world, "alice", resource=name)


def test_resource_token_calls_no_api(world: World) -> None:
    """A token for a resource is refused by the API, and the failure is an event with a code only."""
    token = mint(world, "alice").token
    with pytest.raises(AgentError) as refused:
        world.call(lambda: world.access.authenticate(token, "10.0.0.9"))
    assert refused.value.code == "token.audience"
    assert world.leaves("auth.fail")[-1]["code"] == "token.audience"
    assert token not in str(world.leaves("auth.fail")[-1])


def test_login_opens_no_resource(world: World) -> None:
    """A login token is not valid for a resource."""
    with pytest.raises(AgentError, match="for something else"):
        world.issuer.verify(world.login("alice"), "resource:shop")


def test_revoked_login_is_refused_at_once(world: World) -> None:
    """After revocation a login no longer authenticates."""
    root = who(world, "root")
    _, code = world.call(lambda: world.access.fresh_code(root, "bob"))
    login = world.call(lambda: world.access.enrol(code, PASSWORD))
    assert world.call(lambda: world.access.revoke(login.identity, login.claims.id)) == 1
    with pytest.raises(AgentError, match="login has ended"):
        world.call(lambda: world.access.authenticate(login.token))


def test_deleted_row_brings_no_login_back(world: World) -> None:
    """A token whose row is gone is refused: absence is not innocence."""
    identity = who(world, "alice")
    token, _ = world.issuer.mint(identity, audience="tidegate", ttl=60)
    with pytest.raises(AgentError, match="login has ended"):
        world.call(lambda: world.access.authenticate(token))


def test_revoking_a_grant_ends_tokens_and_sessions(world: World) -> None:
    """A revoked grant takes its tokens and its open sessions with it."""
    session = world.session()
    assert world.call(lambda: world.access.revoke(session.identity, session.grant.id)) == 1
    row = world.store.grant(session.grant.id)
    assert (session.ended, row and row.state) == ("grant_revoked", "revoked")
    assert world.leaves("grant.revoked")[-1]["gid"] == session.grant.id


def test_revoking_a_token_ends_its_session(world: World) -> None:
    """A revoked token cuts the session it opened."""
    session = world.session()
    world.call(lambda: world.access.revoke(session.identity, session.token))
    assert session.ended == "token_revoked"


def test_others_tokens_need_operate(world: World) -> None:
    """Nobody revokes what is not theirs, and nobody learns whether it exists; an operator may."""
    minted, bob = mint(world, "alice"), who(world, "bob")
    for id in (minted.claims.id, "tk_nothing"):
        with pytest.raises(Refused, match="not yours"):
            world.call(lambda id=id: world.access.revoke(bob, id))
    root = who(world, "root")
    assert world.call(lambda: world.access.revoke(root, minted.claims.id)) == 1


def test_tokens_are_not_in_repr(world: World) -> None:
    """What minting gives can be logged without giving the token away."""
    minted = mint(world, "alice")
    assert minted.token not in repr(minted)


def test_disabled_means_out_at_once(tmp_path: Path) -> None:
    """A disabled person has no login, no token and no session any more, nor has an agent of theirs."""
    with World(tmp_path) as world:
        world.staff()
        session = world.session()
        root = who(world, "root")
        world.call(lambda: world.access.disable(root, "alice", Kind.USER))
        assert session.ended == "identity_disabled" and world.get("me", "alice").status_code == 401
        with pytest.raises(AgentError, match="disabled"):
            mint(world, "root", person="alice", agent="claude-code")
        assert world.store.identity_named("alice").leaf == world.leaves("identity.disabled")[-1]["i"]  # type: ignore[union-attr]


def test_a_rolled_back_row_revives_nobody(tmp_path: Path) -> None:
    """A login of somebody disabled stays ended when an older signed row is put back into the store."""
    with World(tmp_path) as world:
        world.staff()
        root, row = who(world, "root"), world.store.identity_named("alice")
        world.call(lambda: world.access.disable(root, "alice", Kind.USER))
        assert row is not None
        world.store.put_identity(row.hop, owner=row.owner, disabled=False, leaf=row.leaf)
        assert world.get("me", "alice").status_code == 401


@pytest.mark.parametrize(
    ("by", "name", "kind", "code"),
    [
        ("eve", "bob", Kind.USER, "policy.refused"),
        ("eve", "claude-code", Kind.AGENT, "policy.refused"),
        ("root", "root", Kind.USER, "identity.self"),
        ("root", "alice", Kind.AGENT, "identity.unknown"),
    ],
)
def test_who_may_not_disable(world: World, by: str, name: str, kind: Kind, code: str) -> None:
    """It takes the ability to operate, or owning the agent; nobody locks themselves out."""
    caller = who(world, by)
    with pytest.raises(Refused) as refused:
        world.call(lambda: world.access.disable(caller, name, kind))
    assert refused.value.code == code
