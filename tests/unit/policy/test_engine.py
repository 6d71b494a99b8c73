"""The evaluator at work gives what the bare evaluator gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Address, Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import LONGEST, Engine
from tidegate.policy.judge import judge
from tidegate.policy.rules import Bundle, restore

Build = Callable[..., Engine]
GATEWAY = Resource("tidegate", "", Address("", 0))
POLICY = """
rules:
  - {id: connect-staff, who: {groups: [staff]}, may: [connect], then: allow, for: 8h}
  - {id: connect-agents, who: {groups: [agents]}, may: [connect], then: allow, for: 15m}
  - {id: readers, on: {labels: {env: prod}}, may: [read], then: allow}
  - {id: writes, who: {groups: [staff]}, may: [write], then: hold, approvers: {groups: [dba]}, within: 5m}
"""
READ = Facts(Verb.READ, "select", "select 1", effect=False)


def test_a_decision_carries_the_bundle(engine: Build, alice: Identity, shop: Resource) -> None:
    """Every decision names the policy it rests on."""
    made = engine(POLICY)
    decision, _ = made.decide(alice, shop, READ)
    assert (Effect.ALLOW, ("readers",), made.bundle.sha256) == (decision.effect, decision.rules, decision.bundle)


def test_facts_are_canonical_json_without_the_text(engine: Build, agent: Identity, shop: Resource) -> None:
    """What is committed is sorted, compact, and holds no statement text."""
    _, data = engine(POLICY).decide(agent, shop, replace(READ, text="select 'secret'", details={"multi": False}))
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert b"secret'" not in data


def test_details_cannot_stand_in_for_proven_facts(engine: Build, alice: Identity, shop: Resource) -> None:
    """A detail named like a fact of the parser does not replace it."""
    lying = Facts(Verb.WRITE, "delete", "", details={"verb": "read", "verbs": ["read"], "effect": False})
    decision, data = engine(POLICY).decide(alice, shop, lying)
    assert decision.effect is Effect.HOLD
    assert json.loads(data)["operation"]["effect"] is True


def test_labels_are_looked_at_each_time(engine: Build, alice: Identity, shop: Resource) -> None:
    """A resource that loses its label loses the rule, though the engine knows the name."""
    made = engine(POLICY)
    assert made.decide(alice, shop, READ)[0].effect is Effect.ALLOW
    assert made.decide(alice, replace(shop, labels={}), READ)[0].effect is Effect.REFUSE


def test_abilities_need_the_whole_chain(engine: Build, agent: Identity, shop: Resource) -> None:
    """An agent connects when both it and its person may."""
    stranger = Identity((*agent.chain[:1], Hop("a_x", "x", Kind.AGENT, ())))
    made = engine(POLICY)
    assert made.ability(agent, shop, "connect").effect is Effect.ALLOW
    assert made.ability(stranger, shop, "connect").effect is Effect.REFUSE


@pytest.mark.parametrize(("group", "effect"), [("admins", Effect.ALLOW), ("staff", Effect.REFUSE)])
def test_admins_run_the_gateway(engine: Build, group: str, effect: Effect) -> None:
    """The built-in rule gives the gateway to admins and to nobody else."""
    someone = Identity((Hop("u_9", "root", Kind.USER, (group,)),))
    assert [effect] * 3 == [engine(POLICY).ability(someone, GATEWAY, v).effect for v in ("mint", "observe", "operate")]


def test_the_longest_grant_is_the_least_of_the_chain(
    engine: Build, alice: Identity, agent: Identity, shop: Resource
) -> None:
    """Each hop's rule bounds the grant; without `for` it is a day, without a rule nothing."""
    made = engine(POLICY)
    assert (made.longest(alice, shop, "connect"), made.longest(agent, shop, "connect")) == (8 * 3600, 900)
    assert made.longest(alice, shop, "mint") == 0
    assert engine("rules: [{id: a, may: [connect], then: allow}]").longest(alice, shop, "connect") == LONGEST


def test_only_who_could_change_something_gets_more_than_reads(
    engine: Build, alice: Identity, agent: Identity, shop: Resource
) -> None:
    """A hold counts as a possible change; every hop must have it."""
    made = engine(POLICY)
    assert made.may_change(alice, shop)
    assert not made.may_change(agent, shop)


def test_patience_is_the_longest_hold(engine: Build) -> None:
    """In seconds, 0 when nothing is ever held."""
    assert engine(POLICY).patience == 300
    assert engine("rules: [{id: a, may: [read], then: allow}]").patience == 0


WHERE = st.sampled_from(
    [
        {},
        {"where": {"objects": ["public.*"]}},
        {"where": {"unbounded": [True]}},
        {"where": {"command": ["delete"], "multi": [False]}},
        {"where": {"secrets": [True]}},
    ]
)
WHO = st.sampled_from([{}, {"who": {"groups": ["staff"]}}, {"who": {"kinds": ["agent"]}}])
MORE = st.sampled_from([{}, {"mask": ["pii"]}, {"unmask": ["pii.email"]}, {"limit": {"rows": 3, "per": "session"}}])
MAY = st.lists(st.sampled_from(["read", "write", "session", "unknown"]), min_size=1, unique=True)
THEN = st.sampled_from(["allow", "refuse", "hold"])
PARTS = st.lists(st.tuples(THEN, MAY, WHO, WHERE, MORE), max_size=8)
FACTS = st.builds(
    Facts,
    verb=st.sampled_from([Verb.READ, Verb.WRITE, Verb.SESSION, Verb.UNKNOWN]),
    command=st.sampled_from(["select", "delete"]),
    text=st.just(""),
    reads=st.lists(st.sampled_from(["public.a", "other.b"]), max_size=2).map(tuple),
    effect=st.booleans(),
    details=st.fixed_dictionaries(
        {},
        optional={
            "unbounded": st.booleans(),
            "multi": st.booleans(),
            "secrets": st.booleans(),
            "verbs": st.lists(st.sampled_from([Verb.READ, Verb.WRITE, Verb.UNKNOWN]), max_size=2),
            "unresolved": st.lists(st.just("x"), max_size=1),
        },
    ),
)


def made_bundle(parts: list[tuple[str, list[str], dict, dict, dict]]) -> Bundle:  # type: ignore[type-arg]
    rules = []
    for number, (then, may, who, where, more) in enumerate(parts):
        hold = {"approvers": {"groups": ["dba"], "count": 1}, "within": 60} if then == "hold" else {}
        rules.append({"id": f"r{number}", "then": then, "may": may, **who, **where, **more, **hold})
    return restore(json.dumps({"rules": rules}, sort_keys=True, separators=(",", ":")).encode())


@given(PARTS, st.lists(FACTS, min_size=1, max_size=4))
def test_it_decides_what_the_evaluator_decides(parts: list, many: list[Facts]) -> None:  # type: ignore[type-arg]
    """Prepared or not, remembered or not: the verdict is that of `judge` on the committed bytes."""
    engine = Engine(made_bundle(parts))
    person = Hop("u_1", "alice", Kind.USER, ("staff",))
    resource = Resource("shop", "any", Address("h", 1), labels={"env": "prod"})
    for identity in (Identity((person,)), Identity((person, Hop("a_b", "bot", Kind.AGENT, ("agents",))))):
        for facts in many:
            decision, data = engine.decide(identity, resource, facts)
            assert decision == engine._decision(judge(json.loads(engine.bundle.canonical), json.loads(data)))


def test_an_emergency_is_committed_with_the_facts(engine: Build, alice: Identity, shop: Resource) -> None:
    """The bytes in the log say that it was one, and lead the evaluator to the same verdict."""
    made = engine(POLICY)
    write = Facts(Verb.WRITE, "update", "update x set y = 1")
    assert made.decide(alice, shop, write)[0].effect is Effect.HOLD
    decision, data = made.decide(alice, shop, write, emergency=True)
    assert decision.effect is Effect.ALLOW
    assert json.loads(data)["emergency"] is True
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert judge({"rules": made.bundle.rules}, json.loads(data))["effect"] == "allow"


def test_standing_access_needs_a_rule_for_every_hop(
    engine: Build, alice: Identity, agent: Identity, shop: Resource
) -> None:
    """One hop that needs a request makes the chain need one."""
    both = POLICY.replace("may: [connect], then: allow, for", "may: [connect], then: allow, standing: true, for")
    one = POLICY.replace("connect], then: allow, for: 8h", "connect], then: allow, standing: true, for: 8h")
    assert engine(both).standing(agent, shop) and engine(one).standing(alice, shop)
    assert not engine(one).standing(agent, shop) and not engine(POLICY).standing(alice, shop)


def test_who_answers_a_hold_is_read_whole(engine: Build, alice: Identity, shop: Resource) -> None:
    """Signatures, escalation and the patience on the line reach the decision."""
    more = "approvers: {groups: [dba], signed: true, escalate: {groups: [cto], after: 2m}}, patience: 30s"
    made = engine(POLICY.replace("approvers: {groups: [dba]}", more))
    decision, _ = made.decide(alice, shop, Facts(Verb.WRITE, "update", ""))
    (wanted,) = decision.approvers
    assert (wanted.signed, wanted.escalate, wanted.after) == (True, ("cto",), 120)
    assert (decision.within, decision.patience) == (300, 30)
