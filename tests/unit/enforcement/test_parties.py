"""Who stands behind a token of an exchange."""

from __future__ import annotations

import pytest

from tidegate.enforcement.parties import EXCHANGED, Parties, Party
from tidegate.errors import TidegateError
from unit.web.world import World


@pytest.fixture(scope="module")
def parties(staffed: World) -> Parties:
    """The parties of a staffed gateway, where claude-code comes with tokens of prod:claude."""
    root = staffed.call(lambda: staffed.access.chain("root"))
    staffed.call(lambda: staffed.links.bind(root, "claude-code", "k8s", {"sub": "prod:claude"}))
    return staffed.services.exchange._parties


def subject(world: World, parties: Parties, token: str) -> Party:
    """For whom, on the shop."""
    return world.call(lambda: parties.subject(token, "shop", world.settings.resources["shop"]))


def actor(world: World, parties: Parties, token: str) -> Party:
    """Who acts, on the shop."""
    return world.call(lambda: parties.actor(token, "shop", world.settings.resources["shop"]))


def test_subjects(staffed: World, parties: Parties) -> None:
    """A person by their login, a workload with its owner, a chain by our token for the resource."""
    login = subject(staffed, parties, staffed.login("alice"))
    assert [hop.name for hop in login.hops] == ["alice"] and not login.claims and len(login.via) == 1
    workload = subject(staffed, parties, staffed.workload("prod:claude"))
    assert workload.proofs == ["owner", "jwt:k8s"] and workload.claims["sub"] == "prod:claude"
    minted = staffed.mint(agent="claude-code").json()
    chain = subject(staffed, parties, minted["token"])
    assert chain.subjects[1:] == ["a_claude-code"] and chain.via == (minted["id"], minted["grant"])


def test_actors(staffed: World, parties: Parties) -> None:
    """A workload by its token, an agent by ours; both alone, and proven differently."""
    assert actor(staffed, parties, staffed.workload("prod:claude")).proofs == ["jwt:k8s"]
    minted = staffed.mint(agent="claude-code").json()["token"]
    acting = actor(staffed, parties, minted)
    assert (acting.subjects, acting.proofs) == (["a_claude-code"], [EXCHANGED])


def test_people_are_no_actors(staffed: World, parties: Parties) -> None:
    """Neither by a login nor by a token for the resource."""
    for token in (staffed.login("alice"), staffed.mint().json()["token"]):
        with pytest.raises(TidegateError) as caught:
            actor(staffed, parties, token)
        assert caught.value.code in ("token.audience", "exchange.actor")


def test_revoked_links(staffed: World, parties: Parties) -> None:
    """A workload's token that was revoked is nobody's party."""
    from tidegate.identity.workloads import token_id

    staffed.revocations.add(token_id("k8s", "gone"))
    for ask in (subject, actor):
        with pytest.raises(TidegateError) as caught:
            ask(staffed, parties, staffed.workload("prod:claude", jti="gone"))
        assert caught.value.code == "token.revoked"
