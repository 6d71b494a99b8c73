"""The evaluator at work: the same ``judge``, with what does not depend on the operation prepared beforehand.

Per chain and resource, the rules that speak of each hop are picked once and indexed by verb, and the facts' JSON is
built from prepared parts. The conditions of rules are evaluated anew for every operation; what a set of matching rules
amounts to is remembered by that very set. Nothing outlives the bundle (``adopt``).

Invariant: ``decide`` gives what ``judge`` gives for the bundle and the very bytes that ``decide`` returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tidegate.model.identity import Hop, Identity
from tidegate.model.operation import Facts
from tidegate.model.resource import Resource
from tidegate.model.verdict import Approvers, Decision, Effect, Limits

from .judge import OPERATION_VERBS, Fit, Reach, combine, fitting, reach
from .rules import Bundle

LONGEST = 24 * 3600
"""Seconds that a grant or token may live when no rule says ``for``."""

_KEPT = 4096
_CHANGING = tuple(verb for verb in OPERATION_VERBS if verb not in ("read", "session"))


@dataclass(frozen=True, slots=True)
class _Prepared:
    labels: Mapping[str, str]
    hops: tuple[tuple[str, Reach], ...]
    head: bytes
    tail: bytes
    emergency: bool
    decisions: dict[tuple[tuple[str, ...], bool, Fit], Decision] = field(default_factory=dict)


class Engine:
    """Decides by one bundle at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._prepared: dict[tuple[tuple[Hop, ...], str, bool], _Prepared] = {}

    def adopt(self, bundle: Bundle) -> None:
        """From now on decide by another bundle; nothing that was prepared for the old one is used again."""
        self.bundle = bundle
        self._prepared = {}

    def decide(
        self, identity: Identity, resource: Resource, facts: Facts, *, emergency: bool = False
    ) -> tuple[Decision, bytes]:
        """The decision on one operation, and the canonical JSON facts it rests on, to be committed in the leaf.

        ``emergency`` says that it is asked under a break-glass grant.
        """
        prepared = self._prepare(identity, resource, emergency)
        data = orjson.dumps(_described(facts), option=orjson.OPT_SORT_KEYS)
        # Read back, so that what is judged is what is committed and no Python type can make a difference.
        return self._settle(prepared, orjson.loads(data)), prepared.head + data + prepared.tail

    def ability(self, identity: Identity, resource: Resource, verb: str) -> Decision:
        """Whether the whole chain may do a gateway verb: connect, mint, observe, operate, break-glass."""
        return self._settle(self._prepare(identity, resource), _asking(verb))

    def standing(self, identity: Identity, resource: Resource) -> bool:
        """Whether policy lets the chain connect without a request: every hop has a rule that says so."""
        if self.ability(identity, resource, "connect").effect is not Effect.ALLOW:
            return False
        hops = self._prepare(identity, resource).hops
        return all(any(rule.get("standing") is True for rule in found.get("connect", ((), ()))[0]) for _, found in hops)

    def may_change(self, identity: Identity, resource: Resource) -> bool:
        """Whether rules could ever let the chain do more than read: if not, the upstream session is read-only."""
        hops = self._prepare(identity, resource).hops
        return any(all(_gives(found, verb) for _, found in hops) for verb in _CHANGING)

    def longest(self, identity: Identity, resource: Resource, verb: str) -> int:
        """Seconds that a grant (``connect``) or a token (``mint``) may live at most; 0 when the verb is refused."""
        decision = self.ability(identity, resource, verb)
        if decision.effect is Effect.REFUSE:
            return 0
        spans = (rule.get("for", LONGEST) for rule in self.bundle.rules if rule["id"] in decision.rules)
        return min(spans, default=LONGEST)

    @property
    def patience(self) -> int:
        """The longest that any hold of this bundle waits, in seconds; 0 when nothing is ever held."""
        return max((rule["within"] for rule in self.bundle.rules if rule["then"] == "hold"), default=0)

    def _prepare(self, identity: Identity, resource: Resource, emergency: bool = False) -> _Prepared:
        key = (identity.chain, resource.name, emergency)
        prepared = self._prepared.get(key)
        if prepared is None or prepared.labels != resource.labels:
            if len(self._prepared) >= _KEPT:
                self._prepared.clear()
            prepared = self._prepared[key] = self._select(identity, resource, emergency)
        return prepared

    def _select(self, identity: Identity, resource: Resource, emergency: bool) -> _Prepared:
        chain, upstream = _participants(identity, resource)
        hops = tuple((str(hop["kind"]), reach(self.bundle.rules, hop, upstream)) for hop in chain)
        marked = b',"emergency":true,"operation":' if emergency else b',"operation":'
        head = b'{"chain":' + orjson.dumps(chain, option=orjson.OPT_SORT_KEYS) + marked
        tail = b',"resource":' + orjson.dumps(upstream, option=orjson.OPT_SORT_KEYS) + b"}"
        return _Prepared(dict(resource.labels), hops, head, tail, emergency)

    def _settle(self, prepared: _Prepared, operation: Mapping[str, Any]) -> Decision:
        key = fitting(prepared.hops, operation)
        decision = prepared.decisions.get(key)
        if decision is None:
            if len(prepared.decisions) >= _KEPT:
                prepared.decisions.clear()
            decision = prepared.decisions[key] = self._decision(
                combine(prepared.hops, *key, emergency=prepared.emergency)
            )
        return decision

    def _decision(self, verdict: Mapping[str, Any]) -> Decision:
        limits = verdict["limits"]
        return Decision(
            effect=Effect(verdict["effect"]),
            rules=tuple(verdict["rules"]),
            bundle=self.bundle.sha256,
            because=verdict["because"],
            hint=verdict["hint"],
            mask=frozenset(verdict["mask"]),
            unmask=frozenset(verdict["unmask"]),
            limits=Limits(limits["rows"], limits["session_rows"]),
            approvers=tuple(_approvers(wanted) for wanted in verdict["approvers"]),
            within=verdict["within"],
            patience=verdict["patience"],
        )


def _approvers(wanted: Mapping[str, Any]) -> Approvers:
    further = wanted.get("escalate", {})
    return Approvers(
        tuple(wanted["groups"]),
        wanted["count"],
        wanted["rule"],
        wanted.get("signed", False),
        tuple(further.get("groups", ())),
        further.get("after", 0),
    )


def _participants(identity: Identity, resource: Resource) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The chain and the resource as the evaluator reads them."""
    chain = [
        {"name": hop.name, "subject": hop.subject, "kind": hop.kind.value, "groups": list(hop.groups)}
        for hop in identity.chain
    ]
    return chain, {"name": resource.name, "labels": dict(resource.labels)}


def _described(facts: Facts) -> dict[str, Any]:
    """The operation as the evaluator reads it: details first, so that none can stand in for what the parser proved."""
    details, verb, command = facts.details, facts.verb.value, facts.command
    return {
        **details,
        "verb": verb,
        "verbs": _with(verb, details.get("verbs")),
        "command": command,
        "commands": _with(command, details.get("commands")),
        "reads": list(facts.reads),
        "writes": list(facts.writes),
        "effect": facts.effect,
        "bulk": facts.bulk,
        "secrets": details.get("secrets", False) is not False,
    }


def _with(main: str, several: object) -> list[str]:
    found = [str(item) for item in several] if isinstance(several, (list, tuple)) else []
    return found if main in found else [main, *found]


def _asking(verb: str) -> dict[str, Any]:
    return {"verb": verb, "verbs": [verb], "command": verb, "commands": [verb], "effect": True, "secrets": False}


def _gives(found: Reach, verb: str) -> bool:
    return any(rule["then"] != "refuse" for rules in found.get(verb, ()) for rule in rules)
