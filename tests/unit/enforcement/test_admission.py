"""What a credential is worth: who comes, by which grant, and what ends it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tidegate.cli.token import key_pair
from tidegate.enforcement.admission import Admitted
from tidegate.enforcement.revocations import RESOURCE, Bar
from tidegate.errors import TidegateError
from tidegate.identity.workloads import Workloads
from unit.web.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice's agent claude-code, which is bound to prod:claude."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        root = started.call(lambda: started.access.chain("root"))
        started.call(lambda: started.links.bind(root, "claude-code", "k8s", {"sub": "prod:claude"}))
        yield started


def admitted(world: World, credential: str | bytes, resource: str = "shop") -> Admitted:
    """What it is worth on a resource."""
    target = world.settings.resources.get(resource)
    return world.call(lambda: world.admission.of(credential, target))


def refused(world: World, credential: str | bytes, resource: str = "shop") -> TidegateError:
    """Why it is worth nothing; the credential is not in the error."""
    with pytest.raises(TidegateError) as caught:
        admitted(world, credential, resource)
    assert not isinstance(credential, str) or credential not in str(caught.value)
    return caught.value


def test_a_token_of_ours(world: World) -> None:
    """It carries its grant, and ends with token, grant, hops and owners."""
    minted = world.mint(agent="claude-code").json()
    found = admitted(world, minted["token"])
    assert (found.token, found.grant.id) == (minted["id"], minted["grant"])
    person = found.identity.person.subject
    assert found.rests == {minted["id"], minted["grant"], person, "a_claude-code"} and found.issued is None


def test_a_certificate_proves_its_key(world: World) -> None:
    """The hop that acts is proven by the certificate; revoking the token that it stands for ends it."""
    _, public = key_pair()
    minted = world.mint(agent="claude-code", public_key=public).json()
    der = ssl.PEM_cert_to_DER_cert(minted["certificate"])
    found = admitted(world, der)
    assert found.identity.actor.proof == "certificate"
    assert refused(world, der, "crm").code == "token.audience"
    world.delete(f"/tokens/{minted['id']}", "alice")
    assert refused(world, der).code == "token.revoked"
    with pytest.raises(TidegateError, match="revoked"):
        world.admission.check(found)


def test_a_certificate_is_renewed(world: World) -> None:
    """Another one for the same key is another credential: the end of the first does not end it."""
    _, public = key_pair()
    first, second = (world.mint(agent="claude-code", public_key=public).json() for _ in range(2))
    world.delete(f"/tokens/{first['id']}", "alice")
    assert refused(world, ssl.PEM_cert_to_DER_cert(first["certificate"])).code == "token.revoked"
    assert admitted(world, ssl.PEM_cert_to_DER_cert(second["certificate"])).token == second["id"]


def test_a_workload_by_a_live_grant(world: World) -> None:
    """Its own token is worth the grant that exactly its chain has, until that is revoked."""
    grant = world.mint(agent="claude-code").json()["grant"]
    found = admitted(world, world.workload("prod:claude"))
    assert found.grant.id in {row.id for row in world.store.grants() if row.state == "active"}
    assert [hop.proof for hop in found.identity.chain] == ["owner", "jwt:k8s"] and found.token.startswith("jw_")
    for row in world.store.live_grants(found.grant.subjects, "shop", world.clock.now()):
        world.delete(f"/tokens/{row.id}", "alice")
    assert refused(world, world.workload("prod:claude")).code == "grant.missing"
    assert world.store.grant(grant).state == "revoked"  # type: ignore[union-attr]


def test_a_workload_learns_no_names(world: World) -> None:
    """Without a grant, a resource that exists and one that does not look the same."""
    token = world.workload("prod:claude")
    there, nowhere = refused(world, token, "crm"), refused(world, token, "nowhere")
    assert (str(there), there.hint, there.code) == (str(nowhere), nowhere.hint, nowhere.code)


def test_strangers(world: World) -> None:
    """Nobody's tokens, unsigned ones and garbage open nothing."""
    assert refused(world, world.workload("prod:other")).code == "identity.unbound"
    assert refused(world, world.workload("prod:claude", iss="https://evil.example")).code == "token.signature"
    for text in ("x.y", "a.b.c", "é" * 20, "x" * 20_000):
        assert refused(world, text).code == "token.malformed"


def test_the_kill_switch_ends_what_was_issued_before(world: World) -> None:
    """A workload's token from before the bar stays out, with a grant from after it too; a later one comes in."""
    now = world.clock.now()
    old = world.workload("prod:claude", iat=now // 1_000_000 - 60)
    world.revocations.add(Bar(RESOURCE, "shop", len(world.leaves()) - 1, now - 5_000_000).word)
    world.mint(agent="claude-code")
    assert refused(world, old).code == "token.revoked"
    assert refused(world, world.workload("prod:claude", iat=None)).code == "token.revoked"
    assert admitted(world, world.workload("prod:claude")).token.startswith("jw_")


def test_an_audience_for_each_resource_tells_nobody_which_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workload that gets tokens for any audience hears the same of a resource that is there and of none."""
    issuer = replace(world.settings.workloads["k8s"], audience="tidegate/{resource}")
    workloads = Workloads({"k8s": issuer}, world.store, world.clock, world.revocations)
    monkeypatch.setattr(world.admission, "_workloads", workloads)

    def told(name: str) -> tuple[str, str]:
        token, target = world.workload("prod:claude", aud=f"tidegate/{name}"), world.settings.resources.get(name)
        with pytest.raises(TidegateError) as caught:
            world.call(lambda: world.admission.of(token, target, name))
        return caught.value.code, caught.value.message

    assert told("crm") == told("absent") and told("crm")[0] == "grant.missing"
