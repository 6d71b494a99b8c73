"""Who gets in: logins, members, tokens with their grants, and their end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate.enforcement.access import SHORTEST
from tidegate.errors import AgentError, Refused
from tidegate.model.identity import Identity, Kind
from unit.web.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice (staff) and her agent claude-code, bob (approvers) and eve."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        yield started


def who(world: World, *names: str) -> Identity:
    """The chain of these names as it stands."""
    return world.call(lambda: world.access.chain(*names))


def mint(world: World, by: str, **asked: Any) -> Any:
    """Mint as ``by``; unless asked otherwise for oneself, on the shop, for a minute."""
    words = {"person": "", "agent": None, "resource": "shop", "ttl": 60, "reason": "a test", **asked}
    identity = who(world, by)
    return world.call(lambda: world.access.mint(identity, **words))


def test_bootstrap_works_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The bootstrap code makes one administrator, and never a second."""
    with World(tmp_path_factory.mktemp("fresh")) as world:
        first = world.call(lambda: world.access.bootstrap(world.code, "root"))
        assert first.identity.person.groups == ("admins",)
        with pytest.raises(AgentError, match="code is wrong"):
            world.call(lambda: world.access.bootstrap(world.code, "other"))
        assert world.access.bootstrap_code() is None


def test_code_logs_in_once(world: World) -> None:
    """An enrolment code gives one login."""
    root = who(world, "root")
    _, code = world.call(lambda: world.access.fresh_code(root, "eve"))
    assert world.call(lambda: world.access.enrol(code)).identity.person.name == "eve"
    with pytest.raises(AgentError, match="code is wrong"):
        world.call(lambda: world.access.enrol(code))


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


def test_grant_and_token_are_in_the_log(world: World) -> None:
    """Minting appends grant.activated, then token.issued, with subjects and no names."""
    minted = mint(world, "alice", agent="claude-code")
    grant, token = world.leaves("grant.activated")[-1], world.leaves("token.issued")[-1]
    assert (grant["gid"], grant["act"]) == (minted.grant.id, list(minted.claims.chain))
    assert (token["jti"], token["gid"], token["i"]) == (minted.claims.id, minted.grant.id, grant["i"] + 1)
    assert not any("alice" in str(leaf) for leaf in (grant, token))


def test_no_token_without_durable_evidence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log cannot be synced, no grant is stored and no token leaves."""

    async def broken() -> None:
        raise OSError("no disk")

    before = len(world.store.grants())
    monkeypatch.setattr(world.log, "sync", broken)
    with pytest.raises(OSError, match="no disk"):
        mint(world, "alice")
    assert len(world.store.grants()) == before


def test_nobody_mints_for_others(world: World) -> None:
    """A person without the ability mints neither for somebody else nor for somebody else's agent."""
    with pytest.raises(Refused, match="mint for others"):
        mint(world, "bob", person="alice")
    with pytest.raises(AgentError, match="not an agent of this person"):
        mint(world, "bob", agent="claude-code")


def test_administrator_mints_for_others_as_far_as_they_may(world: World) -> None:
    """Who may mint for others still gives nobody more than their own rules."""
    assert mint(world, "root", person="alice", agent="claude-code").identity.title == "alice -> claude-code"
    with pytest.raises(Refused, match="eve may not connect"):
        mint(world, "root", person="eve")


def test_whole_chain_must_be_allowed(world: World) -> None:
    """An agent's rule is not enough when its person has none."""
    eve = who(world, "eve")
    world.call(lambda: world.access.add_agent(eve, "eves-agent", "eve", []))
    with pytest.raises(Refused, match="eve -> eves-agent may not connect"):
        mint(world, "eve", agent="eves-agent")


@pytest.mark.parametrize("ttl", [-1, 0, SHORTEST - 1, 901, 10**9])
def test_life_is_limited(world: World, ttl: int) -> None:
    """An agent's token lives no longer than the rule's `for`, and not less than ten seconds."""
    with pytest.raises(Refused, match="lives 10 to 900 seconds"):
        mint(world, "alice", agent="claude-code", ttl=ttl)


def test_unknown_resource_is_refused(world: World) -> None:
    """There is no token for what is not configured, nor for the gateway itself."""
    for name in ("nowhere", "tidegate"):
        with pytest.raises(Refused, match="no such resource"):
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
    login = world.call(lambda: world.access.enrol(code))
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
