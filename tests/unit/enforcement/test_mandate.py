"""Which policy is in force: what was activated, whatever files and store say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.enforcement.mandate import TWO, Mandate
from tidegate.errors import ConfigError, IntegrityError, Refused
from tidegate.policy.engine import Engine
from tidegate.policy.rules import Bundle, load_bundle
from tidegate.settings import Settings, load
from unit.enforcement.desk import Desk, run
from unit.enforcement.people import BOB, PASSWORD, person

OLD = "rules: [{id: reads, may: [read], then: allow}]\n"
NEW = "rules: [{id: reads, may: [read], then: allow}, {id: all, may: [write, define], then: allow}]\n"
CONFIG = """
organisation: example.org
gateway: gw1
policy: {files: [policy.yaml], activation: MODE, approvers: [policy]}
recording: {auditors: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]}
"""
ROOT, EVE = person("root", "admins", "policy"), person("eve", "policy")

Story = Callable[[Desk, Mandate, Engine, list[Bundle]], Awaitable[None]]


def write(path: Path, policy: str = OLD, mode: str = TWO) -> Settings:
    """Files as an operator has them."""
    path.mkdir(exist_ok=True)
    (path / "policy.yaml").write_text(policy)
    (path / "tidegate.yaml").write_text(CONFIG.replace("MODE", mode))
    return load(path / "tidegate.yaml")


def start(path: Path, story: Story) -> None:
    """Start a gateway on what the files say now."""
    settings = replace(load(path / "tidegate.yaml"), data=path / "data")

    async def told(desk: Desk) -> None:
        engine, adopted = Engine(load_bundle(settings.policy.files)), list[Bundle]()

        async def adopt(bundle: Bundle) -> None:
            engine.adopt(bundle)
            adopted.append(bundle)

        mandate = Mandate(settings, desk.log, engine, desk.register, adopt)
        desk.register.listen(mandate.heard)
        mandate.begin(desk.leaves())
        await story(desk, mandate, engine, adopted)

    (path / "data").mkdir(exist_ok=True)
    run(path / "data", told)


def rules(engine: Engine) -> list[str]:
    """The ids of what decides, but for the built-in ones."""
    return [str(rule["id"]) for rule in engine.bundle.rules if not str(rule["id"]).startswith("tidegate.")]


async def activated(adopted: list[Bundle]) -> None:
    """Wait until something has been put into force."""
    while not adopted:  # noqa: ASYNC110 - nothing else tells
        await asyncio.sleep(0.01)


async def first(desk: Desk, mandate: Mandate, engine: Engine, _: list[Bundle]) -> None:
    """A first start activates what it finds, and says so."""
    leaf = next(leaf for leaf in desk.leaves() if leaf["k"] == "policy.activated")
    assert (leaf["how"], leaf["mode"], leaf["ph"]) == ("first", TWO, engine.bundle.sha256)
    assert mandate.unlocked.is_set() and mandate.refused is None


def test_changed_rules_have_no_effect(tmp_path: Path) -> None:
    """Edited by hand, they are refused, which is an event, and the old ones stay in force."""
    write(tmp_path)
    start(tmp_path, first)
    write(tmp_path, NEW)

    async def second(desk: Desk, mandate: Mandate, engine: Engine, _: list[Bundle]) -> None:
        assert rules(engine) == ["reads"]
        assert desk.leaves()[-1]["k"] == "policy.refused"
        assert mandate.unlocked.is_set() and mandate.refused is not None

    start(tmp_path, second)


def test_a_second_person_puts_them_into_force(tmp_path: Path) -> None:
    """Proposed by one, approved by another, in force at once and after the next start."""
    write(tmp_path)
    start(tmp_path, first)
    write(tmp_path, NEW)

    async def second(desk: Desk, mandate: Mandate, engine: Engine, adopted: list[Bundle]) -> None:
        held = await mandate.propose(ROOT, "the migration")
        assert "+- id: all" in held.question.statement and held.question.bundle == engine.bundle.sha256
        with pytest.raises(Refused, match="part in the request"):
            await desk.register.approve(held.id, ROOT, PASSWORD)
        with pytest.raises(Refused, match="not among the approvers"):
            await desk.register.approve(held.id, BOB, PASSWORD)
        await desk.register.approve(held.id, EVE, PASSWORD)
        for _ in range(200):
            if adopted:
                break
            await asyncio.sleep(0.01)
        assert rules(engine) == ["all", "reads"] and mandate.refused is None
        leaves = [leaf for leaf in desk.leaves() if leaf["k"] in ("approval.used", "policy.activated")]
        assert [leaf["k"] for leaf in leaves[-2:]] == ["approval.used", "policy.activated"]
        assert leaves[-1]["ap"] == held.id

    async def third(desk: Desk, _: Mandate, engine: Engine, __: list[Bundle]) -> None:
        assert rules(engine) == ["all", "reads"]
        assert "policy.refused" not in [leaf["k"] for leaf in desk.leaves()[-4:]]

    start(tmp_path, second)
    start(tmp_path, third)


@pytest.mark.parametrize("edit", [("single-person", OLD), ("single-person", NEW)])
def test_the_mode_cannot_be_turned_off_by_hand(tmp_path: Path, edit: tuple[str, str]) -> None:
    """A changed configuration serves no agent until somebody else has approved it."""
    write(tmp_path)
    start(tmp_path, first)
    write(tmp_path, edit[1], edit[0])

    async def second(desk: Desk, mandate: Mandate, engine: Engine, _: list[Bundle]) -> None:
        assert rules(engine) == ["reads"] and not mandate.unlocked.is_set()
        held = await mandate.propose(ROOT, "")
        assert "+policy: {files: [policy.yaml], activation: single-person" in held.question.statement
        await desk.register.approve(held.id, EVE, PASSWORD)
        await asyncio.wait_for(mandate.unlocked.wait(), 5)

    start(tmp_path, second)


def test_what_was_proposed_is_what_is_activated(tmp_path: Path) -> None:
    """Files changed after the proposal are not what was approved."""
    write(tmp_path)
    start(tmp_path, first)

    async def second(desk: Desk, mandate: Mandate, engine: Engine, adopted: list[Bundle]) -> None:
        (tmp_path / "policy.yaml").write_text(NEW)
        held = await mandate.propose(ROOT, "")
        (tmp_path / "policy.yaml").write_text(NEW.replace("define", "administer"))
        await desk.register.approve(held.id, EVE, PASSWORD)
        await activated(adopted)
        assert any("define" in rule["may"] for rule in engine.bundle.rules)
        assert not any("administer" in rule["may"] for rule in engine.bundle.rules)

    start(tmp_path, second)


def test_an_altered_copy_is_not_gone_on_with(tmp_path: Path) -> None:
    """The policy in force is kept under its hash: another content under that name ends the start."""
    write(tmp_path)
    start(tmp_path, first)
    (kept,) = (tmp_path / "data" / "policies").glob("*.json")
    write(tmp_path, NEW)
    kept.write_bytes(load_bundle([tmp_path / "policy.yaml"]).canonical)
    with pytest.raises(IntegrityError, match="altered"):
        start(tmp_path, first)


def test_in_single_person_mode_a_start_activates(tmp_path: Path) -> None:
    """And says so each time; there is nothing to propose."""
    write(tmp_path, OLD, "single-person")

    async def once(desk: Desk, mandate: Mandate, engine: Engine, _: list[Bundle]) -> None:
        assert desk.leaves()[-1]["mode"] == "single-person"
        with pytest.raises(Refused, match="by a restart"):
            await mandate.propose(ROOT, "")

    start(tmp_path, once)
    write(tmp_path, NEW, "single-person")

    async def again(_: Desk, mandate: Mandate, engine: Engine, __: list[Bundle]) -> None:
        assert rules(engine) == ["all", "reads"] and mandate.unlocked.is_set()

    start(tmp_path, again)


def test_an_unapproved_file_sets_no_terms(tmp_path: Path) -> None:
    """A gateway that runs on files nobody approved does not take from them how the next activation comes about."""
    write(tmp_path)
    start(tmp_path, first)
    write(tmp_path, mode="single-person")

    async def second(desk: Desk, mandate: Mandate, _: Engine, adopted: list[Bundle]) -> None:
        write(tmp_path, NEW)
        held = await mandate.propose(ROOT, "rules only")
        assert "single-person" not in held.question.statement
        await desk.register.approve(held.id, EVE, PASSWORD)
        await activated(adopted)
        assert desk.leaves()[-1]["mode"] == TWO and mandate.mode == TWO
        assert not mandate.unlocked.is_set()

    start(tmp_path, second)


def test_a_proposal_is_over_with_what_it_was_to_replace(tmp_path: Path) -> None:
    """People saw the difference to what was in force: to anything else it is another question."""
    write(tmp_path)
    start(tmp_path, first)

    async def second(desk: Desk, mandate: Mandate, engine: Engine, adopted: list[Bundle]) -> None:
        (tmp_path / "policy.yaml").write_text(NEW)
        one = await mandate.propose(ROOT, "one")
        (tmp_path / "policy.yaml").write_text(OLD.replace("read]", "read, execute]"))
        other = await mandate.propose(ROOT, "other")
        await desk.register.approve(one.id, EVE, PASSWORD)
        await activated(adopted)
        with pytest.raises(Refused):
            await desk.register.approve(other.id, EVE, PASSWORD)
        await asyncio.sleep(0.1)
        assert rules(engine) == ["all", "reads"]

    start(tmp_path, second)


def test_of_two_proposals_approved_at_once_one_is_activated(tmp_path: Path) -> None:
    """The second was compared with what is not in force any more."""
    write(tmp_path)
    start(tmp_path, first)

    async def second(desk: Desk, mandate: Mandate, engine: Engine, adopted: list[Bundle]) -> None:
        (tmp_path / "policy.yaml").write_text(NEW)
        one = await mandate.propose(ROOT, "one")
        (tmp_path / "policy.yaml").write_text(OLD.replace("read]", "read, execute]"))
        other = await mandate.propose(ROOT, "other")
        answers = (desk.register.approve(each.id, EVE, PASSWORD) for each in (one, other))
        await asyncio.gather(*answers, return_exceptions=True)
        await asyncio.sleep(0.3)
        assert len(adopted) == 1
        assert [leaf["k"] for leaf in desk.leaves()].count("policy.activated") == 2 + 1

    start(tmp_path, second)


@pytest.mark.parametrize(
    "more",
    [
        "login: {life: 1h}",
        "web: {url: https://tidegate.example.org}",
        "login: {providers: {evil: {kind: oidc, issuer: https://evil.example.org, client_id: x}}}\n"
        "web: {url: https://tidegate.example.org}",
    ],
)
def test_an_unapproved_file_does_not_say_who_people_are(tmp_path: Path, more: str) -> None:
    """Or its author would come in as an approver, and approve it."""
    write(tmp_path)
    start(tmp_path, first)
    with (tmp_path / "tidegate.yaml").open("a") as file:
        file.write(more)

    async def never(*_: object) -> None:
        raise AssertionError

    with pytest.raises(ConfigError, match="nobody approved"):
        start(tmp_path, never)


def test_without_the_configuration_in_force_nothing_runs(tmp_path: Path) -> None:
    """What was approved cannot be told from what is written, if it is gone or was altered."""
    write(tmp_path)
    start(tmp_path, first)
    write(tmp_path, mode="single-person")
    for kept in (tmp_path / "data" / "policies").glob("*.yaml"):
        kept.write_text("organisation: example.org")

    async def never(*_: object) -> None:
        raise AssertionError

    with pytest.raises(IntegrityError, match="configuration in force"):
        start(tmp_path, never)
