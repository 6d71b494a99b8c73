"""Standing access: only by a rule, never beyond the credential, few grants, each in the log first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.audit.log import Log
from tidegate.enforcement.standing import Standing
from tidegate.errors import Refused
from tidegate.model.identity import Grant, Identity
from tidegate.policy.engine import Engine
from tidegate.policy.rules import load_bundle
from unit.web.world import POLICY, World

RULE = "\n  - {id: always, who: {subjects: [alice, bot, few]}, may: [connect], then: allow, standing: true, for: 10m}\n"
MINUTE = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with alice's agents bot, few and claude-code."""
    with World(tmp_path_factory.mktemp("gateway")) as started:
        started.staff()
        root = started.call(lambda: started.access.chain("root"))
        for name in ("bot", "few"):
            started.call(lambda name=name: started.access.add_agent(root, name, "alice", []))
        yield started


@pytest.fixture
def standing(world: World, tmp_path: Path) -> Standing:
    """What gives grants under a policy that has the rule."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY + RULE)
    engine = Engine(load_bundle([path]))
    return Standing(world.log, world.store, engine, world.clock, world.revocations, world.grants)


def bot(world: World, name: str = "bot") -> Identity:
    """The chain that the agent's own token stands for."""
    return world.directory_.answering(f"a_{name}", "jwt:k8s")


def given(world: World, standing: Standing, life: int, name: str = "bot") -> Grant:
    """The grant for a token that lives so many seconds."""
    until = world.clock.now() // 1_000_000 + life
    shop = world.settings.resources["shop"]
    return world.call(lambda: standing.standing(bot(world, name), shop, token="jw_1", until=until))


def test_the_grant_is_in_the_log_first(world: World, standing: Standing) -> None:
    """The leaf says that it is standing, by which rule, proof and token; the row points at it."""
    grant = given(world, standing, 5 * MINUTE)
    leaf = world.leaves("grant.activated")[-1]
    assert (leaf["gid"], leaf["i"], leaf["standing"], leaf["jti"]) == (grant.id, grant.leaf, True, "jw_1")
    assert (leaf["prf"], leaf["act"]) == (["owner", "jwt:k8s"], list(grant.subjects))
    assert "always" in leaf["rule"] and grant.kind == "standing"
    row = world.store.grant(grant.id)
    assert row is not None and (row.kind, row.leaf, row.expires) == ("standing", leaf["i"], leaf["exp"])


def test_no_longer_than_rule_and_token(world: World, standing: Standing) -> None:
    """The shorter of the two is the grant's end."""
    now = world.clock.now() // 1_000_000
    assert given(world, standing, 90).expires // 1_000_000 - now in (90, 91)
    assert given(world, standing, 3600).expires // 1_000_000 - now in range(598, 603)


def test_few_grants(world: World, standing: Standing) -> None:
    """One is used again while it has half of what a new one would last, and never by a token that ends sooner."""
    first = given(world, standing, 8 * MINUTE, "few")
    assert given(world, standing, 9 * MINUTE, "few").id == first.id
    second = given(world, standing, 2 * MINUTE, "few")
    assert second.id != first.id and second.expires < first.expires
    assert given(world, standing, 9 * MINUTE, "few").id == first.id
    world.revocations.add(first.id)
    assert given(world, standing, 9 * MINUTE, "few").id not in (first.id, second.id)


def test_many_at_once_get_one(world: World, standing: Standing) -> None:
    """Connections of the same moment share a grant."""
    import asyncio

    shop = world.settings.resources["shop"]
    until = world.clock.now() // 1_000_000 + 400

    async def many() -> set[str]:
        asked = (standing.standing(bot(world), shop, token="jw_2", until=until) for _ in range(16))
        return {grant.id for grant in await asyncio.gather(*asked)}

    assert len(world.call(many)) == 1


def test_only_by_a_rule(world: World, standing: Standing) -> None:
    """An agent of which no rule says so gets none, though it may connect; nor anybody without the rule."""
    before = len(world.store.grants())
    with pytest.raises(Refused) as caught:
        given(world, standing, 300, "claude-code")
    assert caught.value.code == "grant.missing"
    plain = Standing(world.log, world.store, world.engine, world.clock, world.revocations, world.grants)
    with pytest.raises(Refused):
        given(world, plain, 300)
    assert len(world.store.grants()) == before


def test_nothing_without_durable_evidence(world: World, standing: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log cannot be synced no grant is stored."""

    async def broken(log: Log) -> None:
        raise OSError("no disk")

    before = len(world.store.grants())
    monkeypatch.setattr(Log, "sync", broken)
    with pytest.raises(OSError, match="no disk"):
        given(world, standing, 30)
    assert len(world.store.grants()) == before
