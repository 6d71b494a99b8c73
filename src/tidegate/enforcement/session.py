"""One identity on one resource over one connection: judge, mask, count, and the proof that a request may pass.

``Allow`` is a proof type: only ``Session.judge`` and ``Session.settle`` make one, after the intent is in the log, and
``Upstream.forward`` takes nothing else (tests/contracts guards the constructor).
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from tidegate.clock import Clock
from tidegate.errors import LogFailure, Refused, ResourceError
from tidegate.masking.plan import UNKNOWN, conceal, returned
from tidegate.model.approval import APPROVED, VOIDED, WAITING, Held
from tidegate.model.event import Json
from tidegate.model.identity import BREAKGLASS, Grant, Identity
from tidegate.model.operation import STREAMED, Column, Facts, Operation, Outcome, Request, Rows, Shape, Transform
from tidegate.model.resource import Field, Resource
from tidegate.model.verdict import Decision, Effect, Refuse
from tidegate.policy.engine import Engine

from .held import covers, no, pending, question_of
from .intents import Intents, Progress
from .judgement import Judged, Judgements, may_redefine
from .names import Names, Schema
from .register import Desk
from .sight import Sight
from .trail import Trail

TAIL = 16
"""Bytes of streamed data that are kept, longer than what a mask begins with."""

STRICTNESS = {Effect.ALLOW: 0, Effect.HOLD: 1, Effect.REFUSE: 2}


@final
class Allow:
    """Proof that a request was judged and its intents are in the log up to WAL sequence number ``written``."""

    def __init__(self, request: Request, written: int, *, effect: bool) -> None:
        self.request: Final = request
        self.written: Final = written
        self.effect: Final = effect


@dataclass(frozen=True, slots=True)
class Hold:
    """A request that waits for people, by the decisions that hold it; ``intents`` are its leaves."""

    request: Request
    decisions: tuple[Decision, ...]
    intents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing is decided yet: what precedes the operation is a request of its own, and so is the rest."""

    before: Operation


Verdict = Allow | Refuse | Hold | Cut

Bind = Callable[[Request], Awaitable[str | None]]
"""What a held request means here and now, as text; None when it cannot be found out."""


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
        desk: Desk,
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
        self.unasked = self.mute = False
        self.wait: int | None = None
        self.settings: dict[str, str] = {}
        self.kill: Callable[[str, Refuse], None] | None = None
        self.stop: Callable[[], None] | None = None
        self.busy: Callable[[], bool] = lambda: False
        self.cancelling: asyncio.Future[None] | None = None
        self.waiting: Held | None = None
        self.binding: asyncio.Future[Sequence[Rows]] | None = None
        self._engine = engine
        self._desk = desk
        self._clock = clock
        self._mask_key = mask_key
        self._sight: Sight | None = None
        self._judgements: Judgements
        self._intents = Intents(trail, resource, grant)
        self._halted = halted
        self._progress: dict[Operation, Progress] = {}
        self._alerts: set[str] = set()
        self._streamed = b""

    # what the resource holds

    def learn(self, names: Names[Schema]) -> None:
        """Judge by what is known of the resource's objects."""
        self._sight = Sight(names, self.resource, self)
        self._sight.mute = self.mute
        self._judgements = Judgements(
            self._engine, self.identity, self.resource, self._mask_key, self._sight, self._sight.classify,
            emergency=self.grant.kind == BREAKGLASS,
        )  # fmt: skip

    @property
    def sight(self) -> Sight:
        """A session that knows nothing of the resource's objects judges nothing."""
        if self._sight is None:
            raise ResourceError("the resource's catalog is not loaded", code="resource.catalog")
        return self._sight

    @property
    def names(self) -> Names[Schema]:
        """What all sessions of the resource know."""
        return self.sight.names

    def classify(self, text: str) -> tuple[Facts, ...]:
        """What the parser says under the names known now."""
        return self.sight.classify(text)

    async def refresh(self) -> None:
        """Read the names again after something may have redefined them."""
        self.redefined = False
        self.sight.left()
        self.names.over(self)
        await self.names.read_back()

    def asks(self, questions: Sequence[str]) -> None:
        """Put the intent of the gateway's own questions into the log (rule 10)."""
        fields: dict[str, Json] = {"res": self.resource.name, "op": "names"}
        self.trail.append("gateway.statement", fields, {"stmt": ";\n".join(questions).encode()})

    # verdicts

    def judge(self, request: Request) -> Verdict:
        """Decide a request and put its intents into the log. Raises LogFailure."""
        failure = self._halted()
        if failure is not None:
            raise failure
        if len(request.operations) == 1 and not self.sight.moved:
            operation = request.operations[0]
            one = self._judgements.weigh(operation)
            if one.allowed:
                self._intend(operation, one, one.decision, self.trail.place())
                self.sight.announce(operation)
                return Allow(request, self.trail.staged, effect=operation.facts.effect)
            judged = [one]
        else:
            judged = self._weigh(request.operations)
        strictest = max((one.decision for one in judged), key=_strictness, default=None)
        if strictest and strictest.effect is not Effect.ALLOW and (cut := _cut(request, judged)):
            return cut
        if strictest is None:
            return Allow(request, self.trail.written, effect=False)
        place = self.trail.place()
        effect = False
        for operation, one in zip(request.operations, judged, strict=True):
            self._intend(operation, one, strictest, place)
            effect = effect or operation.facts.effect
        if strictest.effect is Effect.ALLOW:
            self._announce(request)
            return Allow(request, self.trail.staged, effect=effect)
        self.trail.flush()
        if strictest.effect is Effect.REFUSE:
            return self._refused(request, judged)
        if any(op.parameters == STREAMED for op in request.operations):
            return self._too_large(request, strictest)
        return self._hold(request, [one.decision for one in judged])

    async def settle(self, hold: Hold, bind: Bind, tell: Callable[[Held], None]) -> Allow | Refuse:
        """Wait for people. A yes is used once and covers exactly what was asked: ``bind`` finds out what that is.

        ``bind`` is asked before people are, and again when nothing but forwarding is left to do; ``tell`` hears when
        the waiting begins. The use is durable before this returns.
        """
        context = await bind(hold.request)
        try:
            answer = self._unbound(hold) if context is None else await self._asked(hold, context, bind, tell)
        except Refused as error:
            answer = Refuse(error.code, error.rule or "tidegate", error.message, error.hint)
        if isinstance(answer, Refuse):
            self._close_all(hold.request, Outcome("refused", answer.code))
        return answer

    async def _asked(self, hold: Hold, context: str, bind: Bind, tell: Callable[[Held], None]) -> Allow | Refuse:
        question = question_of(self.identity, self.resource, self.grant, str(self.id), hold, context)
        held = await self._desk.ask(question)
        fields: dict[str, Json] = {"ap": held.id, "dg": question.digest, "of": list(hold.intents)}
        self.trail.append("op.held", fields)
        if held.state == WAITING:
            tell(held)
            held = await self._people(held, hold)
        declined = self._declined(held, hold)
        if declined is not None:
            return declined
        await self._desk.use(held.id, question.digest, str(self.id))
        self._announce(hold.request)
        await self.names.told(self)
        self.trail.append("op.released", fields)
        await self.trail.durable()
        if await bind(hold.request) == context:
            return Allow(hold.request, self.trail.written, effect=True)
        return self._void(held, "what the statement refers to, or the session it runs in, changed since it was asked")

    async def _people(self, held: Held, hold: Hold) -> Held:
        """The question when it is answered, or as it stands when the agent has waited long enough."""
        self.waiting = held
        patience = min(decision.patience for decision in hold.decisions if decision.effect is Effect.HOLD)
        given = [given for given in (self.wait, hold.request.patience) if given is not None]
        patience = min([patience, *given])
        try:
            return await self._desk.wait(held.id, min(patience, max(0.0, (held.expires - self._clock.now()) / 1e6 + 1)))
        except asyncio.CancelledError:
            self._desk.withdraw(held.id, str(self.id))
            raise
        finally:
            self.waiting = None

    def _declined(self, held: Held, hold: Hold) -> Refuse | None:
        """Why it does not run: no yes, or the policy or the catalog say otherwise by now."""
        if held.state == WAITING:
            return pending(held)
        if held.state != APPROVED:
            return no(held)
        weighed = [self._judgements.weigh(op).decision for op in hold.request.operations]
        if not covers(held.question, weighed):
            return self._void(held, "the policy or the catalog changed while it waited")
        return None

    def _void(self, held: Held, words: str) -> Refuse:
        self._desk.void(held.id, words)
        return no(replace(held, state=VOIDED, answer=words))

    def _unbound(self, hold: Hold) -> Refuse:
        """What cannot be pinned down cannot be approved (``Schema.firm``)."""
        return Refuse(
            "approval.unbound",
            hold.decisions[0].rules[0],
            "nothing can be approved in a failed transaction, nor in one that keeps an old snapshot",
            "ROLLBACK first, then send the statement again, outside REPEATABLE READ and SERIALIZABLE.",
        )

    def withdraw_question(self) -> bool:
        """The agent cancels a request that waits for people; False if none does."""
        if self.waiting is None:
            return False
        self._desk.withdraw(self.waiting.id, str(self.id))
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
        progress.maskings = self._judgements.masks(operation, progress.judged, columns)
        return progress.judged.transforms if progress.maskings else None

    def rows(self, operation: Operation, count: int, size: int, masked: Sequence[int]) -> bool:
        progress = self._progress[operation]
        progress.rows += count
        progress.size += size
        self.totals["rows"] += count
        if masked:
            self._count_masked(progress, masked)
        limits = progress.judged.decision.limits
        given = progress.rows if operation.given is None else operation.given[0]
        if (limits.rows is not None and given > limits.rows) or (
            limits.session_rows is not None and self.totals["rows"] > limits.session_rows
        ):
            self.excess = True
            return False
        return True

    def value(self, operation: Operation, field: Field | None, shape: Shape) -> Transform | None:
        progress = self._progress.get(operation)
        judged = progress.judged if progress is not None else self._judgements.weigh(operation)
        masking = self._judgements.mask(operation, judged, field, shape)
        return masking.transform if masking else None

    def replaced(self, operation: Operation, field: Field | None, values: int) -> None:
        progress = self._progress[operation]
        if progress.masked is None:
            progress.masked = {}
        name = str(field) if field is not None else UNKNOWN
        progress.masked[name] = progress.masked.get(name, 0) + values
        self.totals["masked"] += values

    def _count_masked(self, progress: Progress, masked: Sequence[int]) -> None:
        if progress.masked is None:
            progress.masked = {}
        for masking, cells in zip(progress.maskings, masked, strict=False):
            if masking is not None and cells:
                progress.masked[masking.field] = progress.masked.get(masking.field, 0) + cells
                self.totals["masked"] += cells

    def conceal(self, operation: Operation | None) -> bool:
        if operation is None:
            return bool(self.resource.tags)
        return conceal(operation.facts, self.sight.tags, self.sight.schema.reach)

    def done(self, operation: Operation, outcome: Outcome) -> None:
        progress = self._progress.pop(operation, None)
        if progress is None:
            raise ResourceError("the resource answered what was not asked", code="resource.desync")
        if may_redefine(operation) and not self.sight.steady:
            self.redefined = True
        self._close(progress, outcome)

    def arrived(self, operation: Operation, size: int, masked: Mapping[str, int] | None = None) -> bool:
        judged = self._judgements.weigh(operation)
        passes = judged.decision.effect is Effect.ALLOW
        self._intend(operation, judged, judged.decision, self.trail.place())
        progress = self._progress[operation]
        progress.rows, progress.size = int(passes), size
        if passes and masked is None and self.conceal(None):
            masked = {"payload": 1}
        if passes and masked:
            progress.masked = dict(masked)
            self.totals["masked"] += sum(masked.values())
        self.unasked = True
        self.done(operation, Outcome("ok") if passes else Outcome("refused", "policy.refused"))
        return passes

    def found(self, answers: Sequence[Rows]) -> None:
        if self.binding is None:
            self.sight.found(answers)
        elif not self.binding.done():
            self.binding.set_result(answers)

    def changed(self, setting: str, value: str) -> None:
        self.settings[setting] = value

    def alert(self, code: str) -> None:
        """Something that people must look at, at most once in a session."""
        if code not in self._alerts:
            self._alerts.add(code)
            self.trail.append("alert.raised", {"code": code, "res": self.resource.name})

    def returned(self, request: Request) -> bool:
        """Whether there is a mask in what streams in under an earlier permit, cut by chunks or messages or not."""
        if not self.resource.tags:
            return False
        data = request.raw if request.unframed is None else request.unframed(request.raw)
        tail, self._streamed = self._streamed, (self._streamed + data[-TAIL:])[-TAIL:]
        return returned(tail, data)

    # the end

    def end(self, reason: str) -> None:
        """Close what is open and write the last leaf, once."""
        if self.over:
            return
        self.over = True
        if self._sight is not None:
            self.names.over(self)
        for progress in list(self._progress.values()):
            self._close(progress, Outcome("indeterminate", reason))
        self._progress.clear()
        self.trail.end(reason, dict(self.totals))

    # inside

    def _weigh(self, operations: Sequence[Operation]) -> list[Judged]:
        """What the operations come to: behind one that may change what names mean, less is proven of the others."""
        sight = self.sight
        if len(operations) == 1 and not sight.moved:
            return [self._judgements.weigh(operations[0])]
        judged: list[Judged] = []
        shade = sight.lost
        for operation in operations:
            sight.dim(shade)
            judged.append(self._judgements.weigh(operation))
            shade = sight.behind(operation, shade)
        sight.dim(None)
        return judged

    def _intend(self, operation: Operation, judged: Judged, strictest: Decision, place: tuple[int, int]) -> None:
        self.totals["operations"] += 1
        index = self._intents.intend(operation, judged, strictest.effect.value, place)
        self._progress[operation] = Progress(index, judged)

    def _refused(self, request: Request, judged: Sequence[Judged]) -> Refuse:
        first = next(one for one in judged if one.decision.effect is Effect.REFUSE)
        decision, refusal = first.decision, first.refusal
        name = f"{self.id}/{self._progress[request.operations[0]].intent}"
        if refusal is None:
            words = decision.because or _because(judged[0].facts)
            refusal = Refuse("policy.refused", decision.rules[0], words, decision.hint)
        self.totals["refused"] += 1
        self._close_all(request, Outcome("refused", refusal.code))
        return replace(refusal, request=name)

    def _announce(self, request: Request) -> None:
        """From now on names may change, in this session or under every session of the resource."""
        for operation in request.operations:
            self.sight.announce(operation)

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
        return Hold(request, tuple(decisions), tuple(self._progress[each].intent for each in request.operations))

    def _close_all(self, request: Request, outcome: Outcome) -> None:
        for operation in request.operations:
            progress = self._progress.pop(operation, None)
            if progress is not None:
                self._close(progress, outcome)

    def _close(self, progress: Progress, outcome: Outcome) -> None:
        self._intents.close(progress, outcome)
        self.trail.seal(self._clock.monotonic())


def _strictness(decision: Decision) -> int:
    return STRICTNESS[decision.effect]


def _cut(request: Request, judged: Sequence[Judged]) -> Cut | None:
    """Where to cut: before the first operation with a stricter decision than what the request begins with."""
    strictness = [_strictness(one.decision) for one in judged]
    least = 0 if request.headed else strictness[0]
    at = next((at for at, found in enumerate(strictness) if found > least), None)
    return None if at is None or not request.divisible else Cut(request.operations[at])


def _because(facts: Facts) -> str:
    return f"no rule allows this {facts.verb.value} operation" + (f" ({facts.reason})" if facts.reason else "")
