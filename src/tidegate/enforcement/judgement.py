"""What one statement comes to under the policy, the grant and what is known of the resource's objects.

Everything here is the same for every execution of a statement, so it is worked out once and remembered by the very
facts it was worked out from; what a value can change is looked at each time (``Judgements.weigh``). Invariant: nothing
is remembered across a change of what names mean: a new version of the names, or anything under way that may redefine
them, makes every statement be understood anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from tidegate.audit.form import Form
from tidegate.masking.detectors import Detectors, detectors
from tidegate.masking.plan import Masking, mask_returned, masking, objection, plan
from tidegate.masking.tags import Tags
from tidegate.model.identity import Identity
from tidegate.model.operation import Column, Facts, Operation, Shape, Transform, Verb
from tidegate.model.resource import Field, Resource
from tidegate.model.verdict import Decision, Effect, Refuse
from tidegate.policy.engine import Engine

KEPT = 256
"""Statements that one session's judgements are remembered of."""

HINT = (
    "Select the columns you need and leave masked fields out of predicates, writes and bulk output, or ask for an "
    "unmask grant."
)


ALLOW: Final = Effect.ALLOW
READ: Final = Verb.READ


class Judged:
    """A statement's decision, and what it needs on its way.

    ``asked`` are the facts that came with it, ``facts`` how it is understood now; ``committed`` is what policy looked
    at. ``forms`` are the leaves of its intents (``enforcement.intents``), ``sealed`` the leaf under whose index
    ``committed`` is sealed, ``written`` its last ``text`` as an intent holds it.
    """

    def __init__(
        self, asked: Facts, decision: Decision, committed: bytes, version: int, refusal: Refuse | None = None
    ) -> None:
        self.asked = self.facts = asked
        self.decision = decision
        self.allowed = decision.effect is ALLOW
        self.committed = committed
        self.refusal = refusal
        self.version = version
        self.sealed = -1
        self.forms: dict[tuple[str, str], Form] = {}
        self.text = ""
        self.written = b'""'
        self.columns: Sequence[Column] | None = None
        self.maskings: Sequence[Masking | None] = ()
        self.transforms: Sequence[Transform | None] | None = None

    def instead(self, decision: Decision, refusal: Refuse | None = None) -> Judged:
        """The same statement with another decision."""
        other = Judged(self.facts, decision, self.committed, self.version, refusal)
        other.asked = self.asked
        return other

    @property
    def lifted(self) -> frozenset[str]:
        """Tags whose masks do not apply."""
        return self.decision.unmask - self.decision.mask


class Known(Protocol):
    """What names mean, in one session or in all."""

    @property
    def unsettled(self) -> bool:
        """Whether less is proven of a statement than its text says."""

    @property
    def version(self) -> int:
        """Another whenever names may mean something else."""

    @property
    def tags(self) -> Tags:
        """The sensitive fields."""


class Judgements:
    """Judges for one session; ``classify`` understands a text anew, ``emergency``: under a break-glass grant."""

    def __init__(
        self,
        engine: Engine,
        identity: Identity,
        resource: Resource,
        mask_key: bytes,
        names: Known,
        classify: Callable[[str], tuple[Facts, ...]],
        *,
        emergency: bool = False,
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._resource = resource
        self._mask_key = mask_key
        self._names = names
        self._classify = classify
        self._emergency = emergency
        self._bundle = engine.bundle
        self._first = self._version = names.version
        self._kept: dict[int, Judged] = {}

    def weigh(self, operation: Operation) -> Judged:
        """What the operation comes to; its facts become those that hold now."""
        judged = self._statement(operation)
        if judged.refusal is None and (words := mask_returned(operation.facts, operation.parameters)) is not None:
            judged = _objected(judged, words)
        held = not judged.allowed and judged.decision.effect is Effect.HOLD
        if held and operation.phase == "prepare" and not operation.facts.reason:
            # Handing a statement over runs nothing but functions that planning may fold, and all of those are proven
            # harmless; people are asked when it is to run, with its parameters known.
            return judged.instead(replace(judged.decision, effect=ALLOW))
        return judged

    def masks(self, operation: Operation, judged: Judged, columns: Sequence[Column]) -> Sequence[Masking | None]:
        """The maskings of a result, empty when every column is clear; ``judged.transforms`` go with them."""
        names = self._names
        moved = names.unsettled or names.version != judged.version
        if moved or judged.columns is None or judged.columns != columns:
            facts = blind(operation.facts) if moved else operation.facts
            maskings = plan(columns, facts, names.tags, judged.lifted, self._mask_key, self._scan(judged)) or ()
            judged.transforms = [masking.transform if masking else None for masking in maskings] if maskings else None
            judged.columns, judged.maskings = None if moved else columns, maskings
        return judged.maskings

    def mask(self, operation: Operation, judged: Judged, field: Field | None, shape: Shape) -> Masking | None:
        """What becomes of one field of a result that is no table; ``None`` when it is clear."""
        facts, scan = operation.facts, self._scan(judged)
        return masking(field, shape, facts, self._names.tags, judged.lifted, self._mask_key, scan)

    def _scan(self, judged: Judged) -> Detectors | None:
        """What is looked for in text without a tag."""
        wanted = self._resource.detect
        return detectors(wanted, judged.lifted, self._mask_key) if wanted else None

    def _statement(self, operation: Operation) -> Judged:
        if self._engine.bundle is not self._bundle:
            self._kept.clear()
            self._bundle = self._engine.bundle
        if self._names.unsettled:
            self._first = -1  # what was understood meanwhile proves less than it could
            operation.facts = self._anew(operation)
            return self._judge(operation.facts)
        if self._names.version != self._version:
            self._kept.clear()
            self._version = self._names.version
        asked = operation.facts.shape or operation.facts
        judged = self._kept.get(id(asked))
        if judged is None or judged.asked is not asked:
            facts = operation.facts if self._first == self._version else self._anew(operation)
            judged = self._judge(facts)
            if len(self._kept) >= KEPT:
                self._kept.clear()
            # Facts made anew hold for this text, not for all of its shape.
            if facts is operation.facts or asked is operation.facts:
                judged.asked = asked
                self._kept[id(asked)] = judged
            operation.facts = facts
        elif asked is operation.facts:
            operation.facts = judged.facts
        return judged

    def _judge(self, facts: Facts) -> Judged:
        decision, committed = self._engine.decide(self._identity, self._resource, facts, emergency=self._emergency)
        judged = Judged(facts, decision, committed, self._names.version)
        if decision.effect is Effect.REFUSE:
            return judged
        words = objection(facts, self._names.tags, judged.lifted)
        return judged if words is None else _objected(judged, words)

    def _anew(self, operation: Operation) -> Facts:
        """Something may have been redefined since a prepared statement was understood."""
        facts = operation.facts
        if operation.anew is not None:
            return operation.anew()
        fresh = self._classify(facts.text) if facts.text else ()
        again = fresh[0] if len(fresh) == 1 else blind(facts)
        if (again.shape or again) is (facts.shape or facts):
            return facts
        several = bool(facts.details.get("multi"))
        return replace(again, details={**again.details, "multi": several}, shape=None)


def _objected(judged: Judged, words: str) -> Judged:
    refusal = Refuse("masking.refused", "tidegate.masking", words, HINT)
    refused = replace(judged.decision, effect=Effect.REFUSE, rules=("tidegate.masking",), because=words)
    return judged.instead(refused, refusal)


def blind(facts: Facts) -> Facts:
    """Facts under names that may have changed: nothing about the flow of values is proven, if any name is in it."""
    if not (facts.reads or facts.writes or facts.details.get("functions") or facts.details.get("unresolved")):
        return facts
    return replace(facts, outputs=None, filters=None, flows=None, effect=True, shape=None)


def unresolved(facts: Facts) -> Facts:
    """Facts under names that nobody knows the meaning of now."""
    found = blind(facts)
    return facts if found is facts else replace(found, details={**found.details, "unresolved": ["*"]})


def may_redefine(operation: Operation) -> bool:
    """Whether it may change what a name means: definitions, administration, and code nobody has looked into.

    The fact ``own_names`` says that it at most does so in its own session, and whether it does.
    """
    verbs = (Verb.DEFINE, Verb.EXECUTE, Verb.ADMINISTER, Verb.UNKNOWN)
    facts = operation.facts
    return operation.phase == "execute" and facts.verb in verbs and "own_names" not in facts.details


def may_move(operation: Operation, touched: bool) -> bool:
    """Whether it may change what a name means in this session: ``touched`` if a transaction's end may, too."""
    if operation.facts.verb is READ or operation.phase != "execute":
        return False
    details = operation.facts.details
    return details.get("own_names") is True or (touched and "transaction" in details) or may_redefine(operation)
