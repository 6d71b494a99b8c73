"""One identity on one resource over one connection: judge, mask, count, and the proof that a request may pass.

``Allow`` is a proof type: only ``Session.judge`` and ``Session.settle`` make one, after the intent is in the log, and
``Upstream.forward`` takes nothing else (tests/contracts guards the constructor).
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from tidegate.clock import Clock
from tidegate.errors import LogFailure, ResourceError
from tidegate.masking.plan import Masking, conceal, objection, plan
from tidegate.masking.tags import Tags
from tidegate.model.event import Json
from tidegate.model.identity import Grant, Identity
from tidegate.model.operation import STREAMED, Column, Facts, Operation, Outcome, Request, Transform, Verb
from tidegate.model.resource import Resource
from tidegate.model.verdict import Decision, Effect, Refuse
from tidegate.policy.engine import Engine

from .approvals import Approvals, Held
from .names import Names, Schema
from .trail import Trail, readable, sealed_json

TAG = re.compile(r"[^A-Za-z0-9 ]")
"""What may not stand in an upstream's word of completion: it is the upstream's to choose."""

COLUMNS = 100
"""The most masked columns one leaf names; its size is limited."""

STRICTNESS = {Effect.ALLOW: 0, Effect.HOLD: 1, Effect.REFUSE: 2}


@final
@dataclass(frozen=True, slots=True)
class Allow:
    """Proof that a request was judged and its intents are in the log up to WAL sequence number ``written``."""

    request: Request
    written: int
    effect: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """A request that waits for people."""

    request: Request
    held: Held


Verdict = Allow | Refuse | Hold


@dataclass(slots=True)
class Progress:
    """One operation on its way: its intent, its decision and what passed of its result."""

    intent: int
    decision: Decision
    version: int
    maskings: Sequence[Masking | None] = ()
    rows: int = 0
    size: int = 0
    masked: dict[str, int] = field(default_factory=dict)


class Session:
    """Implements ``Results``; synchronous but for ``settle``; event loop only."""

    def __init__(
        self,
        *,
        sid: uuid.UUID,
        identity: Identity,
        resource: Resource,
        grant: Grant,
        token: str,
        engine: Engine,
        trail: Trail,
        approvals: Approvals,
        clock: Clock,
        mask_key: bytes,
        reads_only: bool,
        halted: Callable[[], LogFailure | None],
    ) -> None:
        self.id = sid
        self.identity = identity
        self.resource = resource
        self.grant = grant
        self.token = token
        self.reads_only = reads_only
        self.trail = trail
        self.started = clock.now()
        self.totals = {"operations": 0, "refused": 0, "held": 0, "masked": 0, "rows": 0}
        self.ended = ""
        self.over = False
        self.excess = False
        self.redefined = False
        self.settings: dict[str, str] = {}
        self.kill: Callable[[str, Refuse], None] | None = None
        self.stop: Callable[[], None] | None = None
        self.busy: Callable[[], bool] = lambda: False
        self.waiting: Held | None = None
        self._engine = engine
        self._approvals = approvals
        self._clock = clock
        self._mask_key = mask_key
        self._names: Names[Schema] | None = None
        self._version = 0
        self._halted = halted
        self._progress: dict[Operation, Progress] = {}
        self._alerts: set[str] = set()

    # what the resource holds

    def learn(self, names: Names[Schema]) -> None:
        """Judge by what is known of the resource's objects."""
        self._names = names
        self._version = names.version

    @property
    def names(self) -> Names[Schema]:
        """A session that knows nothing of the resource's objects judges nothing."""
        if self._names is None:
            raise ResourceError("the resource's catalog is not loaded", code="resource.catalog")
        return self._names

    @property
    def tags(self) -> Tags:
        """The sensitive fields."""
        return self.names.tags

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What the parser says under the names known now; after a redefinition not yet read back, less is proven."""
        facts = self.names.current.classify(text)
        return tuple(map(_blind, facts)) if self.names.unsettled else facts

    async def refresh(self) -> None:
        """Read the names again after something may have redefined them."""
        self.redefined = False
        self.names.over(self)
        await self.names.read_back()

    # verdicts

    def judge(self, request: Request) -> Verdict:
        """Decide a request and put its intents into the log. Raises LogFailure."""
        failure = self._halted()
        if failure is not None:
            raise failure
        judged = [(operation, *self._decide(operation)) for operation in request.operations]
        strictest = max((decision for _, decision, _, _ in judged), key=_strictness, default=None)
        effect = any(operation.facts.effect for operation in request.operations)
        place = self.trail.place()
        for operation, decision, facts, _ in judged:
            self._intend(operation, decision, strictest or decision, facts, place)
        if strictest is None:
            return Allow(request, self.trail.written, effect=False)
        if strictest.effect is Effect.REFUSE:
            return self._refused(request, judged)
        if strictest.effect is Effect.HOLD and any(op.parameters == STREAMED for op in request.operations):
            return self._too_large(request, strictest)
        if strictest.effect is Effect.HOLD:
            return self._hold(request, [decision for _, decision, _, _ in judged])
        self._announce(request)
        return Allow(request, self.trail.written, effect)

    async def settle(self, hold: Hold) -> Allow | Refuse:
        """Wait for people; a yes is used once, and its use is durable before anything is forwarded."""
        self.waiting = hold.held
        try:
            answer = await self._approvals.answer(hold.held, self.trail)
        finally:
            self.waiting = None
        if answer is None and any(self._decide(op)[0].effect is Effect.REFUSE for op in hold.request.operations):
            answer = self._approvals.void(hold.held, self.trail, "the policy or the catalog changed while it waited")
        if answer is None:
            await self._approvals.use(hold.held, self.trail)
            self._announce(hold.request)
            return Allow(hold.request, self.trail.written, effect=True)
        self._close_all(hold.request, Outcome("refused", answer.code))
        return answer

    def withdraw_question(self) -> bool:
        """The agent cancels a request that waits for people; False if none does."""
        if self.waiting is None:
            return False
        self._approvals.withdraw(self.waiting.id)
        return True

    def stop_upstream(self) -> None:
        """Ask the upstream to give up what is under way."""
        if self.stop is not None:
            self.stop()

    def withdraw(self, request: Request, reason: str) -> None:
        """Close the intents of a request that will not be forwarded after all."""
        self._close_all(request, Outcome("withdrawn", reason))

    # Results

    def columns(self, operation: Operation, columns: Sequence[Column]) -> Sequence[Transform | None] | None:
        progress = self._progress[operation]
        lifted = progress.decision.unmask - progress.decision.mask
        moved = self.names.unsettled or self.names.version != progress.version
        facts = _blind(operation.facts) if moved else operation.facts
        maskings = plan(columns, facts, self.tags, lifted, self._mask_key)
        progress.maskings = maskings or ()
        return [masking.transform if masking else None for masking in maskings] if maskings else None

    def rows(self, operation: Operation, count: int, size: int, masked: Sequence[int]) -> bool:
        progress = self._progress[operation]
        progress.rows += count
        progress.size += size
        self.totals["rows"] += count
        for masking, cells in zip(progress.maskings, masked, strict=False):
            if masking is not None and cells:
                progress.masked[masking.field] = progress.masked.get(masking.field, 0) + cells
                self.totals["masked"] += cells
        limits = progress.decision.limits
        if (limits.rows is not None and progress.rows > limits.rows) or (
            limits.session_rows is not None and self.totals["rows"] > limits.session_rows
        ):
            self.excess = True
            return False
        return True

    def conceal(self, operation: Operation | None) -> bool:
        if operation is None:
            return bool(self.resource.tags)
        return conceal(operation.facts, self.tags, self.names.current.reach)

    def done(self, operation: Operation, outcome: Outcome) -> None:
        progress = self._progress.pop(operation, None)
        if progress is None:
            raise ResourceError("the resource answered what was not asked", code="resource.desync")
        if may_redefine(operation):
            self.redefined = True
        self._close(progress, outcome)

    def changed(self, setting: str, value: str) -> None:
        self.settings[setting] = value

    def alert(self, code: str) -> None:
        """Something that people must look at, at most once in a session."""
        if code not in self._alerts:
            self._alerts.add(code)
            self.trail.append("alert.raised", {"code": code, "res": self.resource.name})

    # the end

    def end(self, reason: str) -> None:
        """Close what is open and write the last leaf, once."""
        if self.over:
            return
        self.over = True
        if self._names is not None:
            self._names.over(self)
        for progress in list(self._progress.values()):
            self._close(progress, Outcome("indeterminate", reason))
        self._progress.clear()
        self.trail.end(reason, dict(self.totals))

    # inside

    def _decide(self, operation: Operation) -> tuple[Decision, bytes, Refuse | None]:
        if self.names.unsettled or self.names.version != self._version:
            # Something may have been redefined since a prepared statement was understood: understand it anew.
            fresh = self.classify(operation.facts.text) if operation.facts.text else ()
            again = fresh[0] if len(fresh) == 1 else _blind(operation.facts)
            several = bool(operation.facts.details.get("multi"))
            operation.facts = replace(again, details={**again.details, "multi": several})
        decision, facts = self._engine.decide(self.identity, self.resource, operation.facts)
        if decision.effect is Effect.HOLD and operation.phase == "prepare" and not operation.facts.reason:
            # Handing a statement over runs nothing but functions that planning may fold, and all of those are proven
            # harmless; people are asked when it is to run, with its parameters known.
            decision = replace(decision, effect=Effect.ALLOW)
        if decision.effect is Effect.REFUSE:
            return decision, facts, None
        lifted = decision.unmask - decision.mask
        reason = objection(operation.facts, self.tags, lifted, operation.parameters)
        if reason is None:
            return decision, facts, None
        refusal = Refuse(
            "masking.refused",
            "tidegate.masking",
            reason,
            "Select the columns you need and leave masked "
            "fields out of predicates, writes and bulk output, or ask for an unmask grant.",
        )
        return replace(decision, effect=Effect.REFUSE, rules=("tidegate.masking",), because=reason), facts, refusal

    def _intend(
        self,
        operation: Operation,
        decision: Decision,
        strictest: Decision,
        facts: bytes,
        place: dict[str, Json],
    ) -> None:
        said = operation.facts
        statement = sealed_json(
            {"text": readable(said.text), "parameters": base64.b64encode(operation.parameters).decode()}
        )
        self.totals["operations"] += 1
        index = self.trail.append(
            "op.intent",
            {
                "res": self.resource.name,
                "gid": self.grant.id,
                "op": said.command[:200],
                "vb": said.verb.value,
                "ph": operation.phase,
                "eff": said.effect,
                "obj": _names(said.reads),
                "wr": _names(said.writes),
                "dec": {"e": decision.effect.value, "r": list(decision.rules), "ph": decision.bundle},
                "req": strictest.effect.value,
                "rec": place,
            },
            {"stmt": statement, "dec": facts},
        )
        self._progress[operation] = Progress(index, decision, self.names.version)

    def _refused(self, request: Request, judged: Sequence[tuple[Operation, Decision, bytes, Refuse | None]]) -> Refuse:
        decision, refusal = next((d, r) for _, d, _, r in judged if d.effect is Effect.REFUSE)
        index = self._progress[request.operations[0]].intent
        name = f"{self.id}/{index}"
        if refusal is None:
            refusal = Refuse("policy.refused", decision.rules[0], decision.because or _because(judged), decision.hint)
        self.totals["refused"] += 1
        self._close_all(request, Outcome("refused", refusal.code))
        return replace(refusal, request=name)

    def _announce(self, request: Request) -> None:
        """From now on names may change under every session of the resource."""
        if any(map(may_redefine, request.operations)):
            self.names.redefining(self)

    def _too_large(self, request: Request, decision: Decision) -> Refuse:
        """Nobody can approve parameters that are not at hand."""
        self.totals["refused"] += 1
        self._close_all(request, Outcome("refused", "approval.unbound"))
        return Refuse(
            "approval.unbound",
            decision.rules[0],
            "an operation with parameters too large to be shown cannot be approved",
            "Send smaller parameters, or change the rows one by one.",
        )

    def _hold(self, request: Request, decisions: Sequence[Decision]) -> Hold:
        self.totals["held"] += 1
        intents = [self._progress[operation].intent for operation in request.operations]
        held = self._approvals.request(
            self.trail, self.identity, self.resource, self.grant, request, decisions, intents
        )
        return Hold(request, held)

    def _close_all(self, request: Request, outcome: Outcome) -> None:
        for operation in request.operations:
            progress = self._progress.pop(operation, None)
            if progress is not None:
                self._close(progress, outcome)

    def _close(self, progress: Progress, outcome: Outcome) -> None:
        masked: list[Json] = [
            {"col": name[:200], "n": cells} for name, cells in sorted(progress.masked.items())[:COLUMNS]
        ]
        self.trail.append(
            "op.outcome",
            {
                "of": progress.intent,
                "st": outcome.status,
                "code": outcome.code[:40],
                "tag": TAG.sub("", outcome.tag)[:64],
                "rows": progress.rows,
                "bytes": progress.size,
                "msk": masked,
            },
        )
        self.trail.seal(self._clock.monotonic())


def may_redefine(operation: Operation) -> bool:
    """Whether it may change what a name means: definitions, administration, and code nobody has looked into."""
    verbs = (Verb.DEFINE, Verb.EXECUTE, Verb.ADMINISTER, Verb.UNKNOWN)
    return operation.phase == "execute" and operation.facts.verb in verbs


def _blind(facts: Facts) -> Facts:
    """Facts under names that may have changed: nothing about the flow of values is proven, if any name is in it."""
    if not (facts.reads or facts.writes or facts.details.get("functions") or facts.details.get("unresolved")):
        return facts
    return replace(facts, outputs=None, filters=None, flows=None, effect=True)


def _strictness(decision: Decision) -> int:
    return STRICTNESS[decision.effect]


def _names(objects: Sequence[str]) -> list[Json]:
    """At most 50 names: a leaf has a size limit, the full list is in the sealed facts."""
    return [name[:200] for name in objects[:50]]


def _because(judged: Sequence[tuple[Operation, Decision, bytes, Refuse | None]]) -> str:
    facts: Facts = judged[0][0].facts
    return f"no rule allows this {facts.verb.value} operation" + (f" ({facts.reason})" if facts.reason else "")
