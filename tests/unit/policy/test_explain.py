"""Explanations agree with decisions."""

from __future__ import annotations

import json
from collections.abc import Callable

from tidegate.model.identity import Identity
from tidegate.model.operation import Facts, Verb
from tidegate.model.resource import Resource
from tidegate.policy.engine import Engine
from tidegate.policy.explain import Explanation, explain

POLICY = """
rules:
  - {id: readers, may: [read], then: allow}
  - {id: agents-only, who: {kinds: [agent]}, may: [write], then: refuse}
  - {id: bulk, may: [write], where: {unbounded: true}, then: refuse, because: Too much.}
  - {id: elsewhere, on: {resources: [other]}, may: [write], then: allow}
"""


def explained(engine: Callable[..., Engine], identity: Identity, resource: Resource) -> Explanation:
    facts = Facts(Verb.WRITE, "update", "", writes=("public.a",), details={"unbounded": True})
    return explain(engine(POLICY), identity, resource, facts)


def test_each_rule_says_what_did_not_fit(engine: Callable[..., Engine], alice: Identity, shop: Resource) -> None:
    """The first unmet part of each rule is named; a match has none."""
    misses = {line.rule: line.miss for line in explained(engine, alice, shop).lines}
    assert {
        "readers": "may",
        "agents-only": "who.kinds",
        "bulk": "",
        "elsewhere": "on.resources",
    }.items() <= misses.items()


def test_the_verdict_is_the_engines(engine: Callable[..., Engine], alice: Identity, shop: Resource) -> None:
    """The text ends with effect, rule and reason."""
    assert explained(engine, alice, shop).text().endswith("refuse by bulk: Too much.")


def test_every_hop_has_its_lines(engine: Callable[..., Engine], agent: Identity, shop: Resource) -> None:
    """A rule is explained for the person and for the agent."""
    lines = [line for line in explained(engine, agent, shop).lines if line.rule == "agents-only"]
    assert [(line.hop, line.miss) for line in lines] == [("alice", "who.kinds"), ("claude-code", "")]


def test_the_json_is_json(engine: Callable[..., Engine], agent: Identity, shop: Resource) -> None:
    """Programs get plain values."""
    answer = explained(engine, agent, shop).json()
    assert json.loads(json.dumps(answer)) == answer
