"""The data path: a pair of streams, a wire that frames them, a session that decides.

A read's callback does everything for an allowed request at once: frame, judge, append the intent, record, forward.
Three things leave the callback: a change, which waits until its intent is durable; a hold, which waits for people; and
a refusal behind unanswered requests, which waits until those are answered, so that pipelines stay in order, unless the
upstream itself keeps the order because the batch is open. Meanwhile the agent's bytes queue up to a limit and the
upstream's keep flowing. A request that is allowed only in part is cut: what precedes the first operation that is not
allowed goes ahead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, assert_never

import orjson

from tidegate.audit.log import Log
from tidegate.errors import AgentError, LogFailure, ResourceError, TidegateError
from tidegate.journal import surprise
from tidegate.masking.plan import RETURNED
from tidegate.model.approval import Held
from tidegate.model.operation import Request, Rows, Wire
from tidegate.model.verdict import Refuse

from .delivery import Delivery
from .scrub import Scrub
from .session import Allow, Cut, Hold, Session
from .stream import Stream
from .upstream import Upstream

SLICE = 32
"""Requests that one session may have handled in a row before others have their turn."""


BINDING = 15.0
"""Seconds in which the upstream must say what names mean."""


class Phase(Enum):
    """What the agent's direction is waiting for."""

    OPEN = "open"
    DURABLE = "durable"
    DRAINING = "draining"
    HELD = "held"
    YIELDING = "yielding"
    LEARNING = "learning"
    ASKING = "asking"
    ENDED = "ended"


OPEN: Final = Phase.OPEN
ENDED: Final = Phase.ENDED


class Relay:
    """Runs one session between two streams until either ends."""

    def __init__(
        self, session: Session, agent: Stream, upstream: Stream, wire: Wire, log: Log, *, buffer: int, scrub: Scrub
    ) -> None:
        self.session = session
        self.wire = wire
        self._agent = agent
        self._resource = upstream
        self._upstream = Upstream(upstream, wire, session, log)
        self._log = log
        self._limit = buffer
        self._scrub = scrub
        self._phase = OPEN
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._delivery = Delivery(agent, upstream, log, self._log_failed)
        self._permit: Allow | None = None
        self._parked: tuple[Request, Allow | Refuse | Hold] | None = None
        self._unjudged: Request | None = None
        self._settling: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._finished: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._farewell: Refuse | None = None
        self.rest: bytes | None = None
        self._time = asyncio.get_running_loop().time
        self.active = self.since = self._time()

    async def run(self) -> str:
        """Relay until the session ends; gives the reason."""
        self.session.kill = self.end
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._resource.feed(self._from_resource, self._resource_left, self._resource_writable)
            self._agent.feed(self._from_agent, self._agent_left, self._agent_writable)
            reason = await self._finished
            if self._settling is not None:
                self._settling.cancel()
        try:
            if self._parked is not None:
                self.session.withdraw(self._parked[0], reason)
        finally:
            await self._last_words()
        return reason

    @property
    def waiting(self) -> bool:
        """Whether a request is under way upstream."""
        return self.wire.pending > 0

    @property
    def busy(self) -> bool:
        """Whether a cancel would hit a request of the agent's, not a question of the gateway's own."""
        return self.waiting and self._phase not in (Phase.ASKING, Phase.HELD)

    @property
    def held(self) -> bool:
        """Whether a request waits for people."""
        return self._phase is Phase.HELD

    def end(self, reason: str, refusal: Refuse | None = None) -> None:
        """Stop both directions; a refusal is said to the agent in its protocol's form."""
        if self._phase is ENDED:
            return
        self._phase = ENDED
        self._agent.pause()
        self._resource.pause()
        self._farewell = refusal
        if not self._finished.done():
            self._finished.set_result(reason)

    async def _last_words(self) -> None:
        """What was kept back goes out if its evidence becomes durable, then the reason for the end."""
        with contextlib.suppress(LogFailure):
            self._log.flush()
        if self._agent.gone:
            return
        await self._delivery.finish()
        if self._farewell is not None:
            self._agent.write(self.wire.goodbye(self._farewell))

    # agent to resource

    def _from_agent(self, data: bytes) -> None:
        self.active = self._time()
        if self._phase is ENDED:
            return
        self._learn_if_due()
        if self._phase is not OPEN or self.wire.waiting:
            self._queue.append(data)
            self._queued += len(data)
            if self._queued > self._limit:
                self._too_much()
            return
        self._guarded(self._pump, data)

    def _too_much(self) -> None:
        """Stop reading; but not while people think, since an agent that is not read from cannot be seen to leave."""
        if self._phase is not Phase.HELD:
            self._agent.pause()
            return
        words = "more was sent while a request is held than the gateway keeps"
        self.end("agent_failed", Refuse("limit.buffer", "tidegate", words, "Wait for the answer before sending more."))

    def _pump(self, data: bytes) -> None:
        self.wire.feed(data)
        taken = 0
        while (request := self.wire.request()) is not None:
            taken += 1
            self._take(request)
            if self._phase is not OPEN:
                return
            if taken == SLICE or self._agent.congested:
                self._yield()
                return

    def _yield(self) -> None:
        """Let others have their turn; an agent that does not read its answers gets no further ones worked out."""
        self._phase = Phase.YIELDING
        if not self._agent.congested:
            asyncio.get_running_loop().call_soon(self._go_on_reading)

    def _go_on_reading(self) -> None:
        if self._phase is Phase.YIELDING and not self._agent.congested:
            self._guarded(self._reopened)

    def _reopened(self, _: bytes) -> None:
        self._reopen()

    def _reopen(self) -> None:
        """Go on with what the agent sent meanwhile."""
        if self._phase is ENDED:
            return
        self._phase = OPEN
        self._learn_if_due()
        if self._phase is OPEN and self._unjudged is not None:
            request, self._unjudged = self._unjudged, None
            self._take(request)
        if self._phase is OPEN:
            self._pump(b"")
        while self._queue and self._phase is OPEN and not self.wire.waiting:
            data = self._queue.popleft()
            self._queued -= len(data)
            self._pump(data)
        if self._phase is OPEN and not self._resource.congested and self._queued <= self._limit:
            self._agent.resume()
        self._learn_if_due()

    def _take(self, request: Request) -> None:
        if request.own is not None:
            self.session.trail.request(request.raw, b"")
            self._say(request.own)
            return
        if request.farewell and not request.raw:
            self._hand_over()
            return
        if request.continues or not request.operations:
            self._pass(request)
            return
        if self.session.sight.touched and self._asks(request):
            return
        verdict = self.session.judge(request)
        if isinstance(verdict, Allow):
            self._allowed(request, verdict)
        elif isinstance(verdict, Cut):
            self.wire.cut(request, verdict.before)
        elif self.wire.pending and not (isinstance(verdict, Refuse) and self.wire.open and request.divisible):
            self._parked = (request, verdict)
            self._phase = Phase.DRAINING
        else:
            self._reply(request, verdict)

    def _say(self, own: bytes) -> None:
        """Words of the gateway's own to the agent."""
        self.session.trail.response(b"", own)
        self._delivery.deliver(own)
        if self.wire.over:
            self.end("agent_left")

    def _hand_over(self) -> None:
        """Give the connection back to its protocol, with all that was not taken."""
        self.end("handed_over")
        self.rest = self.wire.rest + b"".join(self._queue)

    def _asks(self, request: Request) -> bool:
        """Let the request wait until the upstream has said what names mean; False if it need or can not be asked."""
        wire, sight = self.wire, self.session.sight
        questions = sight.questions(request.operations, settled=wire.settled, inside=wire.inside)
        if not questions or wire.skipping:
            return False
        if wire.pending:
            self._phase = Phase.DRAINING
        elif self.session.cancelling is not None:  # the cancel would hit the question, see ``_go_on``
            self._phase = Phase.DRAINING
            self.session.cancelling.add_done_callback(lambda _: self._cancelled(request))
        elif self._upstream.ask(questions):
            self._phase = Phase.ASKING
        else:
            return False
        self._unjudged = request
        return True

    def _cancelled(self, request: Request) -> None:
        """The upstream has acted on a cancel: it can be asked again."""
        if self._phase is Phase.DRAINING and self._unjudged is request:
            self._guarded(self._reopened)

    def _answered(self) -> None:
        """The upstream has answered what was asked, or earlier requests: judge what waited for that."""
        if self._phase is Phase.ASKING:
            self.session.sight.touched = not self.wire.settled
        self._reopen()

    def _pass(self, request: Request) -> None:
        """Bytes under an earlier permit, or without any operation in them (a Sync, a goodbye)."""
        if request.continues and self._permit is None:
            raise AgentError("data arrived that no allowed operation asked for", code="agent.desync")
        permit = self._permit if request.continues else self.session.judge(request)
        if not isinstance(permit, Allow):
            raise AgentError("data arrived that no allowed operation asked for", code="agent.desync")
        if request.continues and permit.effect and self.session.returned(request):
            self.session.trail.request(request.raw, b"")
            raise AgentError(RETURNED, hint="Leave masked fields out of what you send.", code="masking.refused")
        self._upstream.forward(request, permit)
        if request.farewell:
            self.end("agent_left")

    def _allowed(self, request: Request, permit: Allow) -> None:
        self._delivery.gate = permit.written
        if self.session.names.untold(self.session):
            self._tell_others(request, permit)
            return
        if self.session.cancelling is None and (not permit.effect or self._log.durable >= permit.written):
            self._forward(request, permit)
            return
        self._phase = Phase.DURABLE
        self._parked = (request, permit)
        self._log.when_durable(permit.written, lambda failure: self._when_durable(request, permit, failure))

    def _when_durable(self, request: Request, permit: Allow, failure: LogFailure | None) -> None:
        if self._phase is ENDED:
            return
        if failure is not None:
            self._log_failed(failure)
            return
        self._guarded(lambda _: self._go_on(request, permit))

    def _tell_others(self, request: Request, permit: Allow) -> None:
        """Names may change: forward nothing before every process that judges by them knows."""
        assert self._tasks is not None
        self._phase, self._parked = Phase.DURABLE, (request, permit)
        self._settling = self._tasks.create_task(self._told(request, permit))

    async def _told(self, request: Request, permit: Allow) -> None:
        try:
            await self.session.names.told(self.session)
            await self._log.sync()
        except TidegateError as error:
            self._fail(error)
            return
        self._settling = None
        self._when_durable(request, permit, None)

    def _go_on(self, request: Request, permit: Allow) -> None:
        if self._phase is ENDED:
            return
        if self.session.cancelling is not None:
            # A cancel that the upstream has not yet seen would hit this request instead of the one it was meant for.
            self._phase, self._parked = Phase.DURABLE, (request, permit)
            self.session.cancelling.add_done_callback(lambda _: self._guarded(lambda _: self._go_on(request, permit)))
            return
        self._parked = None
        self._forward(request, permit)
        self._reopen()

    def _forward(self, request: Request, permit: Allow) -> None:
        self._permit = permit
        if not self.wire.pending:
            self.since = self._time()
        self._upstream.forward(request, permit)

    # the gateway's own answers

    def _drained(self) -> None:
        """Answer the parked request once every earlier one is answered."""
        if self._phase is Phase.DRAINING and not self.wire.pending and self._parked is not None:
            request, verdict = self._parked
            self._parked, self._phase = None, OPEN
            self._reply(request, verdict)
            if self._phase is OPEN:
                self._reopen()

    def _reply(self, request: Request, verdict: Allow | Refuse | Hold) -> None:
        match verdict:
            case Refuse():
                self._answer(request, verdict)
            case Hold() if self.wire.skipping:
                # It would not run any more: nobody need be asked.
                self.session.withdraw(request, "batch_failed")
                self._answer(request, Refuse("approval.moot", "tidegate", "an earlier error ended the batch"))
            case Hold():
                self._parked, self._phase = (request, verdict), Phase.HELD
                self._agent.resume()
                assert self._tasks is not None
                self._settling = self._tasks.create_task(self._settle(request, verdict))
            case Allow():
                self._allowed(request, verdict)
            case _:
                assert_never(verdict)

    def _answer(self, request: Request, refusal: Refuse) -> None:
        reply = self.wire.refuse(request, refusal)
        if reply.to_resource:
            self._upstream.keep_in_step(request, reply)
        else:
            self.session.trail.request(request.raw, b"")
        self._say(reply.to_agent)

    async def _settle(self, request: Request, hold: Hold) -> None:
        try:
            answer = await self.session.settle(hold, self._bind, self._held)
        except TimeoutError:
            self._fail(ResourceError("the resource does not say what names mean in this session", code="resource.slow"))
            return
        except TidegateError as error:
            self._fail(error)
            return
        except Exception as error:
            self._surprised(error)
            return
        if self._phase is ENDED:
            return
        self._settling = self._parked = None
        self._guarded(lambda _: self._settled(request, answer))

    def _held(self, held: Held) -> None:
        """Tell whoever sits before the agent's terminal."""
        self._say(self.wire.notice(_held_notice(held)))

    async def _bind(self, request: Request) -> str | None:
        """What the upstream says that the request means, in this very session and transaction; None if it cannot."""
        session = self.session
        questions = session.sight.definitions(request.operations)
        if not questions:
            return ""
        if session.cancelling is not None:  # the cancel would hit the question
            await asyncio.shield(session.cancelling)
        session.binding = asyncio.get_running_loop().create_future()
        try:
            if not self._upstream.ask(questions):
                return None
            async with asyncio.timeout(BINDING):
                answers = await session.binding
            return _text(answers) if session.sight.schema.firm(answers, inside=not self.wire.settled) else None
        finally:
            session.binding = None

    def _settled(self, request: Request, answer: Allow | Refuse) -> None:
        if isinstance(answer, Allow):
            self._delivery.gate = answer.written
            self._go_on(request, answer)
        else:
            self._answer(request, answer)
            self._reopen()

    # resource to agent

    def _from_resource(self, data: bytes) -> None:
        if self._phase is ENDED:
            return
        self._guarded(self._respond, data)

    def _respond(self, data: bytes) -> None:
        pending = self.wire.pending
        said = self.wire.responses(data, self.session)
        if self.wire.pending != pending:
            self.since = self._time()
        if self.session.unasked:
            self.session.unasked, self._delivery.gate = False, self.session.trail.staged
        seen, out = self._scrub.stream(data, said, more=self.wire.partial)
        if self._scrub.found:
            self.session.alert("credential.echoed")
        self.session.trail.response(seen, out)
        self._delivery.deliver(out)
        if self.wire.over:
            self.end("resource_left")
            return
        if self.session.excess:
            self.session.excess = False
            self.session.stop_upstream()
        self._learn_if_due()
        if self._unjudged is not None and not self.wire.pending and self._phase in (Phase.ASKING, Phase.DRAINING):
            self._answered()
        self._drained()
        if self._phase is OPEN and self.wire.waiting:
            self._reopen()

    def _learn_if_due(self) -> None:
        """Names were redefined, here or in another session: read them again before anything else is judged."""
        if self._phase is not OPEN:
            return
        own = self.session.redefined and self.wire.settled and not self.wire.pending
        if own or self.session.names.settling:
            assert self._tasks is not None
            self._phase = Phase.LEARNING
            self._settling = self._tasks.create_task(self._learn(own))

    async def _learn(self, own: bool) -> None:
        try:
            await (self.session.refresh() if own else self.session.names.read_back())
        except TidegateError as error:
            self._fail(error)
            return
        self._settling = None
        self._guarded(self._reopened)

    # flow and faults

    def _agent_writable(self, writable: bool) -> None:
        if not writable:
            self._resource.pause()
            return
        if not self._delivery.full:
            self._resource.resume()
        self._go_on_reading()

    def _resource_writable(self, writable: bool) -> None:
        if not writable:
            self._agent.pause()
        elif self._phase is OPEN:
            self._agent.resume()

    def _agent_left(self) -> None:
        self.session.stop_upstream()
        self.end("agent_left")

    def _resource_left(self) -> None:
        if self._phase is not ENDED:
            self._guarded(self._completed)
        self.end(
            "resource_left",
            Refuse(
                "resource.lost",
                "tidegate",
                "the resource's server closed the connection",
                "Connect again; what was under way is recorded as indeterminate.",
            ),
        )

    def _completed(self, _: bytes) -> None:
        """What ends with the connection has ended."""
        seen, out = self._scrub.stream(b"", self.wire.left(self.session), more=False)
        self.session.trail.response(seen, out)
        self._delivery.deliver(out)

    def _log_failed(self, failure: LogFailure) -> None:
        self.end("log_failed", _log_refusal(failure))

    def _guarded(self, step: Callable[[bytes], None], data: bytes = b"") -> None:
        """The session boundary: any surprise closes the session."""
        try:
            step(data)
        except TidegateError as error:
            self._fail(error)
        except Exception as error:
            self._surprised(error)

    def _surprised(self, error: Exception) -> None:
        surprise("session.surprise", error, sid=str(self.session.id))
        self._fail(AgentError(f"the gateway met a surprise ({type(error).__name__})", code="session.surprise"))

    def _fail(self, error: TidegateError) -> None:
        reason = {LogFailure: "log_failed", ResourceError: "resource_failed"}.get(type(error), "agent_failed")
        self.end(reason, Refuse(error.code, "tidegate", error.message, error.hint))


def _held_notice(held: Held) -> str:
    minutes, seconds = divmod(max(0, (held.expires - held.asked) // 1_000_000), 60)
    patience = f"{minutes}m {seconds}s" if minutes else f"{seconds}s"
    return f"held by rule {held.question.rule} for approval {held.id}; it can be approved for {patience}"


def _text(answers: Sequence[Rows]) -> str:
    """Canonical JSON of rows; bytes that are not UTF-8 are escaped."""
    rows = [
        [[None if value is None else value.decode("utf-8", "backslashreplace") for value in row] for row in answer]
        for answer in answers
    ]
    return orjson.dumps(rows).decode()


def _log_refusal(failure: LogFailure) -> Refuse:
    return Refuse(failure.code, "tidegate", "the audit log cannot be written, so nothing is executed", failure.hint)
