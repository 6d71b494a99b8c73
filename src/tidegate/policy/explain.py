"""Why a verdict is what it is: each rule with the first thing about it that did not fit, and the verdict itself.

It asks the evaluator's own functions, rule by rule, so an explanation cannot differ from a decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tidegate.model.identity import Identity
from tidegate.model.operation import Facts
from tidegate.model.resource import Resource
from tidegate.model.verdict import Decision

from .engine import Engine
from .judge import stranger, unmet, verbs


@dataclass(frozen=True, slots=True)
class Line:
    """One rule seen from one hop: ``miss`` is the first part that did not fit, empty when the rule matched."""

    hop: str
    rule: str
    then: str
    miss: str

    def __str__(self) -> str:
        if self.miss:
            return f"{self.hop}: {self.rule} ({self.then}) does not match: {self.miss}"
        return f"{self.hop}: {self.rule} ({self.then}) matches"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, and a line for every rule and hop."""

    decision: Decision
    lines: tuple[Line, ...]

    def text(self) -> str:
        """For people to read."""
        decision = self.decision
        verdict = f"{decision.effect.value} by {', '.join(decision.rules)}"
        return "\n".join([*map(str, self.lines), verdict + (f": {decision.because}" if decision.because else "")])

    def json(self) -> dict[str, Any]:
        """For programs to read: JSON values only."""
        decision = self.decision
        return {
            "effect": decision.effect.value,
            "rules": list(decision.rules),
            "because": decision.because,
            "hint": decision.hint,
            "mask": sorted(decision.mask),
            "unmask": sorted(decision.unmask),
            "bundle": decision.bundle,
            "lines": [
                {"hop": line.hop, "rule": line.rule, "then": line.then, "miss": line.miss} for line in self.lines
            ],
        }


def explain(engine: Engine, identity: Identity, resource: Resource, facts: Facts) -> Explanation:
    """What the engine decides on this operation, and how each rule came to it."""
    decision, data = engine.decide(identity, resource, facts)
    judged = orjson.loads(data)
    chain, upstream, operation = judged["chain"], judged["resource"], judged["operation"]
    lines = [
        Line(str(hop["name"]), str(rule["id"]), str(rule["then"]), _miss(rule, hop, upstream, operation))
        for hop in chain
        for rule in engine.bundle.rules
    ]
    return Explanation(decision, tuple(lines))


def _miss(
    rule: Mapping[str, Any], hop: Mapping[str, Any], upstream: Mapping[str, Any], operation: Mapping[str, Any]
) -> str:
    selected = stranger(rule, hop, upstream)
    if selected or not set(rule["may"]).isdisjoint(verbs(operation)):
        return selected or unmet(rule, operation)
    return "may"
