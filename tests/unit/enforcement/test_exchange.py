"""Token exchange: who may act for whom, for how long, and what is never carried over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidegate.enforcement.access import BROWSER, Minted
from tidegate.enforcement.exchange import LIFE, _allowed
from tidegate.errors import TidegateError
from tidegate.identity.issuer import CHAIN_LIMIT
from unit.web.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """alice of the staff with claude-code and bot-0 to bot-9, each bound to prod:NAME; bob's agent bobs."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        root = started.call(lambda: started.access.chain("root"))
        owners = {f"bot-{at}": "alice" for at in range(10)} | {"bobs": "bob"}
        for name, owner in owners.items():
            started.call(lambda name=name, owner=owner: started.access.add_agent(root, name, owner, []))
        for name in (*owners, "claude-code"):
            started.call(lambda name=name: started.links.bind(root, name, "k8s", {"sub": f"prod:{name}"}))
        yield started


def exchanged(world: World, subject: str, actor: str = "", resource: str = "shop", key: str = "") -> Minted:
    """What an exchange gives."""
    return world.call(lambda: world.services.exchange.exchange(subject, actor, resource, key=key, peer="10.0.0.9"))


def code(world: World, subject: str, actor: str = "", resource: str = "shop") -> str:
    """The code with which an exchange is refused; no grant is made then."""
    before = len(world.leaves("grant.activated"))
    with pytest.raises(TidegateError) as caught:
        exchanged(world, subject, actor, resource)
    assert len(world.leaves("grant.activated")) == before
    return caught.value.code


def test_both_hops_are_proven(world: World) -> None:
    """The chain is the person and the agent that acts, by their own tokens; issue and grant say so."""
    given = exchanged(world, world.login("alice"), world.workload("prod:claude-code"))
    assert given.identity.title == "alice -> claude-code" and given.claims.proofs[1] == "jwt:k8s"
    leaf = world.leaves("token.issued")[-1]
    assert (leaf["prf"], leaf["by"]) == (list(given.claims.proofs), "a_claude-code")
    assert set(given.claims.via) == set(leaf["via"]) and len(given.claims.via) == 3


def test_an_owner_of_another_person_may_not_connect_here(world: World) -> None:
    """bob has no rule to connect, but his agent may act for alice, who has; the owner stays known."""
    assert code(world, world.workload("prod:bobs")) == "policy.refused"
    given = exchanged(world, world.login("alice"), world.workload("prod:bobs"))
    bob = world.store.identity_named("bob")
    assert bob is not None and bob.subject in given.identity.involved
    assert world.issuer.verify(given.token, "resource:shop").chain[1] == "a_bobs"


def test_minutes_and_no_longer_than_its_parts(world: World) -> None:
    """Neither than a quarter of an hour, nor than either token."""
    alice, now = world.login("alice"), world.clock.now() // 1_000_000
    long = exchanged(world, alice, world.workload("prod:bot-0"))
    assert long.claims.expires - long.claims.issued <= LIFE
    assert exchanged(world, alice, world.workload("prod:bot-0", exp=now + 60)).claims.expires <= now + 60
    assert code(world, alice, world.workload("prod:bot-0", exp=now + 5)) == "token.expired"


def test_chains_have_an_end(world: World) -> None:
    """Eight hops, each a different one, and then no more."""
    given = exchanged(world, world.login("alice"), world.workload("prod:bot-0"))
    for at in range(1, CHAIN_LIMIT - 1):
        given = exchanged(world, given.token, world.workload(f"prod:bot-{at}"))
    assert len(given.claims.chain) == CHAIN_LIMIT
    assert world.call(lambda: world.admission.of(given.token, world.settings.resources["shop"])).token
    assert code(world, given.token, world.workload("prod:bot-8")) == "exchange.chain"
    assert code(world, exchanged(world, world.workload("prod:bot-9")).token, world.workload("prod:bot-9")) == (
        "identity.repeated"
    )


def test_what_is_no_subject_or_actor(world: World) -> None:
    """A browser's login, a login as actor, a certificate's text, another resource's token."""
    alice = world.call(lambda: world.access.chain("alice"))
    browser = world.call(lambda: world.access.login(alice, method="password", audience=BROWSER))
    agent = world.workload("prod:bot-1")
    assert code(world, browser.token, agent) == "token.audience"
    assert code(world, world.login("alice"), world.login("bob")) == "token.audience"
    assert code(world, world.login("alice")) == "exchange.actor"
    assert code(world, world.mint(agent="claude-code").json()["token"]) == "exchange.actor"
    given = exchanged(world, world.login("alice"), agent)
    assert code(world, given.token, world.workload("prod:bot-2"), "crm") == "token.audience"


def test_who_may_act_is_named_by_an_issuer() -> None:
    """``may_act`` without an issuer means one of the subject's own: the same name elsewhere is somebody else."""
    subject = {"iss": "https://a.example", "may_act": {"sub": "bot"}}
    _allowed(subject, {"iss": "https://a.example", "sub": "bot"})
    _allowed(
        {**subject, "may_act": {"iss": "https://b.example", "sub": "bot"}}, {"iss": "https://b.example", "sub": "bot"}
    )
    for actor in ({"iss": "https://b.example", "sub": "bot"}, {"sub": "bot"}, {}):
        with pytest.raises(TidegateError, match="somebody else"):
            _allowed(subject, actor)


def test_replay_after_revocation(world: World) -> None:
    """Neither a revoked login nor a revoked token is exchanged again, and what they gave is over."""
    alice = world.call(lambda: world.access.chain("alice"))
    login = world.call(lambda: world.access.login(alice, method="password"))
    given = exchanged(world, login.token, world.workload("prod:bot-3"))
    further = exchanged(world, given.token, world.workload("prod:bot-4"))
    world.call(lambda: world.access.revoke(login.identity, login.claims.id))
    shop = world.settings.resources["shop"]
    for token in (given.token, further.token):
        with pytest.raises(TidegateError, match="revoked"):
            world.call(lambda token=token: world.admission.of(token, shop))
    assert code(world, login.token, world.workload("prod:bot-3")) == "token.revoked"
    assert code(world, further.token, world.workload("prod:bot-5")) == "token.revoked"


def test_a_failure_is_an_event(world: World) -> None:
    """With its code, and without any token."""
    token = world.workload("prod:stranger")
    assert code(world, world.login("alice"), token) == "identity.unbound"
    leaf = world.leaves("auth.fail")[-1]
    assert leaf["code"] == "identity.unbound" and token not in str(leaf)


def test_a_disabled_agent_acts_for_nobody(world: World) -> None:
    """Nor does one whose owner is disabled."""
    root = world.call(lambda: world.access.chain("root"))
    given = exchanged(world, world.login("alice"), world.workload("prod:bobs"))
    from tidegate.model.identity import Kind

    world.call(lambda: world.access.disable(root, "bob", Kind.USER))
    assert code(world, world.login("alice"), world.workload("prod:bobs")) == "identity.disabled"
    with pytest.raises(TidegateError):
        world.call(lambda: world.admission.of(given.token, world.settings.resources["shop"]))
