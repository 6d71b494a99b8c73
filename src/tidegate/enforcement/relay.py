"""The data path: a pair of streams, a wire that frames them, a session that decides.

A read's callback does everything for an allowed request at once: frame, judge, append the intent, record, forward.
Three things leave the callback: a change, which waits until its intent is durable; a hold, which waits for people; and
a refusal behind unanswered requests, which waits until those are answered, so that pipelines stay in order. Meanwhile
the agent's bytes queue up to a limit and the upstream's keep flowing.

No byte of a result is delivered before the intents it answers are durable: it is kept back until the group commit that
covers them, whose callback lets it go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import assert_never

from tidegate.audit.log import Log
from tidegate.errors import AgentError, LogFailure, ResourceError, TidegateError
from tidegate.journal import surprise
from tidegate.model.operation import Reply, Request, Wire
from tidegate.model.verdict import Refuse

from .scrub import Scrub
from .session import Allow, Hold, Session, Verdict
from .stream import Stream

SLICE = 32
"""Requests that one session may have handled in a row before others have their turn."""

KEPT_BACK = 1024 * 1024
"""Bytes of results that may wait for a group commit before the upstream is no longer read."""


class Upstream:
    """The only hand that writes to the upstream once the relay runs."""

    def __init__(self, stream: Stream, wire: Wire, session: Session) -> None:
        self._stream, self._wire, self._session = stream, wire, session

    def forward(self, request: Request, permit: Allow) -> None:
        """Record and send a request that ``permit`` covers."""
        if permit.request is not request and not request.continues:
            raise AgentError("a permit covers one request only", code="permit.mismatch")
        data = self._wire.forward(request)
        self._session.trail.request(request.raw, data)
        self._stream.write(data)

    def keep_in_step(self, request: Request, reply: Reply) -> None:
        """Send what makes the upstream share the gateway's answer; it can only fail a transaction, never do work."""
        self._session.trail.request(request.raw, reply.to_resource)
        self._stream.write(reply.to_resource)


class Phase(Enum):
    """What the agent's direction is waiting for."""

    OPEN = "open"
    DURABLE = "durable"
    DRAINING = "draining"
    HELD = "held"
    YIELDING = "yielding"
    LEARNING = "learning"
    ENDED = "ended"


class Relay:
    """Runs one session between two streams until either ends."""

    def __init__(
        self, session: Session, agent: Stream, upstream: Stream, wire: Wire, log: Log, *, buffer: int, scrub: Scrub
    ) -> None:
        self.session = session
        self.wire = wire
        self._agent = agent
        self._resource = upstream
        self._upstream = Upstream(upstream, wire, session)
        self._log = log
        self._limit = buffer
        self._scrub = scrub
        self._phase = Phase.OPEN
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._kept: list[bytes] = []
        self._kept_size = 0
        self._gate = 0
        self._permit: Allow | None = None
        self._parked: tuple[Request, Verdict] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._finished: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._farewell: Refuse | None = None
        self.active = self.since = asyncio.get_running_loop().time()

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
    def held(self) -> bool:
        """Whether a request waits for people."""
        return self._phase is Phase.HELD

    def end(self, reason: str, refusal: Refuse | None = None) -> None:
        """Stop both directions; a refusal is said to the agent in its protocol's form."""
        if self._phase is Phase.ENDED:
            return
        self._phase = Phase.ENDED
        self._agent.pause()
        self._resource.pause()
        self._farewell = refusal
        if not self._finished.done():
            self._finished.set_result(reason)

    async def _last_words(self) -> None:
        """What was kept back goes out if its evidence becomes durable, then the reason for the end."""
        if self._agent.gone:
            return
        if self._kept:
            try:
                await self._log.sync()
                self._agent.write(b"".join(self._kept))
            except LogFailure:
                self._kept.clear()
        if self._farewell is not None:
            self._agent.write(self.wire.goodbye(self._farewell))

    # agent to resource

    def _from_agent(self, data: bytes) -> None:
        self.active = asyncio.get_running_loop().time()
        if self._phase is Phase.ENDED:
            return
        self._learn_if_due()
        if self._phase is not Phase.OPEN or self.wire.waiting:
            self._queue.append(data)
            self._queued += len(data)
            if self._queued > self._limit:
                self._too_much()
            return
        self._guarded(lambda: self._pump(self.wire.requests(data)))

    def _too_much(self) -> None:
        """Stop reading; but not while people think, since an agent that is not read from cannot be seen to leave."""
        if self._phase is not Phase.HELD:
            self._agent.pause()
            return
        words = "more was sent while a request is held than the gateway keeps"
        self.end("agent_failed", Refuse("limit.buffer", "tidegate", words, "Wait for the answer before sending more."))

    def _pump(self, requests: Iterator[Request]) -> None:
        for taken, request in enumerate(requests, 1):
            self._take(request)
            if self._phase is not Phase.OPEN:
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
            self._guarded(self._reopen)

    def _reopen(self) -> None:
        """Go on with what the agent sent meanwhile."""
        if self._phase is Phase.ENDED:
            return
        self._phase = Phase.OPEN
        self._learn_if_due()
        if self._phase is Phase.OPEN:
            self._pump(self.wire.requests(b""))
        while self._queue and self._phase is Phase.OPEN and not self.wire.waiting:
            data = self._queue.popleft()
            self._queued -= len(data)
            self._pump(self.wire.requests(data))
        if self._phase is Phase.OPEN and not self._resource.congested:
            self._agent.resume()
        self._learn_if_due()

    def _take(self, request: Request) -> None:
        if request.continues or not request.operations:
            self._pass(request)
            return
        verdict = self.session.judge(request)
        if isinstance(verdict, Allow):
            self._allowed(request, verdict)
        elif self.wire.pending:
            self._parked = (request, verdict)
            self._phase = Phase.DRAINING
        else:
            self._reply(request, verdict)

    def _pass(self, request: Request) -> None:
        """Bytes under an earlier permit, or without any operation in them (a Sync, a goodbye)."""
        if request.continues and self._permit is None:
            raise AgentError("data arrived that no allowed operation asked for", code="agent.desync")
        permit = self._permit if request.continues else self.session.judge(request)
        if not isinstance(permit, Allow):
            raise AgentError("data arrived that no allowed operation asked for", code="agent.desync")
        self._upstream.forward(request, permit)
        if request.farewell:
            self.end("agent_left")

    def _allowed(self, request: Request, permit: Allow) -> None:
        self._gate = permit.written
        if not permit.effect or self._log.durable >= permit.written:
            self._forward(request, permit)
            return
        self._phase = Phase.DURABLE
        self._parked = (request, permit)
        self._log.when_durable(permit.written, lambda failure: self._when_durable(request, permit, failure))

    def _when_durable(self, request: Request, permit: Allow, failure: LogFailure | None) -> None:
        if self._phase is Phase.ENDED:
            return
        if failure is not None:
            self.end("log_failed", _log_refusal(failure))
            return
        self._parked = None
        self._guarded(lambda: self._go_on(request, permit))

    def _go_on(self, request: Request, permit: Allow) -> None:
        self._forward(request, permit)
        self._reopen()

    def _forward(self, request: Request, permit: Allow) -> None:
        self._permit = permit
        if not self.wire.pending:
            self.since = asyncio.get_running_loop().time()
        self._upstream.forward(request, permit)

    # the gateway's own answers

    def _drained(self) -> None:
        """Answer the parked request once every earlier one is answered."""
        if self._phase is Phase.DRAINING and not self.wire.pending and self._parked is not None:
            request, verdict = self._parked
            self._parked, self._phase = None, Phase.OPEN
            self._reply(request, verdict)
            if self._phase is Phase.OPEN:
                self._reopen()

    def _reply(self, request: Request, verdict: Verdict) -> None:
        match verdict:
            case Refuse():
                self._answer(request, verdict)
            case Hold():
                self._parked, self._phase = (request, verdict), Phase.HELD
                self._agent.resume()
                self._deliver(self.wire.notice(_held_notice(verdict)))
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
        self.session.trail.response(b"", reply.to_agent)
        self._deliver(reply.to_agent)

    async def _settle(self, request: Request, hold: Hold) -> None:
        try:
            answer = await self.session.settle(hold)
        except TidegateError as error:
            self._fail(error)
            return
        if self._phase is Phase.ENDED:
            return
        self._settling = self._parked = None
        self._guarded(lambda: self._settled(request, answer))

    def _settled(self, request: Request, answer: Allow | Refuse) -> None:
        if isinstance(answer, Allow):
            self._gate = answer.written
            self._forward(request, answer)
        else:
            self._answer(request, answer)
        self._reopen()

    # resource to agent

    def _from_resource(self, data: bytes) -> None:
        if self._phase is Phase.ENDED:
            return
        self._guarded(lambda: self._respond(data))

    def _respond(self, data: bytes) -> None:
        pending = self.wire.pending
        said = self.wire.responses(data, self.session)
        if self.wire.pending != pending:
            self.since = asyncio.get_running_loop().time()
        out = self._scrub(said)
        if out is not said:
            self.session.alert("credential.echoed")
        self.session.trail.response(self._scrub(data), out)
        self._deliver(out)
        if self.session.excess:
            self.session.excess = False
            self.session.stop_upstream()
        self._learn_if_due()
        self._drained()
        if self._phase is Phase.OPEN and self.wire.waiting:
            self._reopen()

    def _learn_if_due(self) -> None:
        """Names were redefined, here or in another session: read them again before anything else is judged."""
        own = self.session.redefined and self.wire.settled and not self.wire.pending
        if self._phase is Phase.OPEN and (own or self.session.names.settling):
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
        self._guarded(self._reopen)

    def _deliver(self, data: bytes) -> None:
        if not data:
            return
        if not self._kept and self._log.durable >= self._gate:
            self._agent.write(data)
            return
        if not self._kept:
            self._log.when_durable(self._gate, self._release)
        self._kept.append(data)
        self._kept_size += len(data)
        if self._kept_size > KEPT_BACK:
            self._resource.pause()

    def _release(self, failure: LogFailure | None) -> None:
        if self._phase is Phase.ENDED and failure is None and self._agent.gone:
            return
        if failure is not None:
            self._kept.clear()
            self.end("log_failed", _log_refusal(failure))
            return
        if self._log.durable < self._gate:
            self._log.when_durable(self._gate, self._release)
            return
        self._agent.write(b"".join(self._kept))
        self._kept.clear()
        self._kept_size = 0
        if not self._agent.congested:
            self._resource.resume()

    # flow and faults

    def _agent_writable(self, writable: bool) -> None:
        if not writable:
            self._resource.pause()
            return
        if self._kept_size <= KEPT_BACK:
            self._resource.resume()
        self._go_on_reading()

    def _resource_writable(self, writable: bool) -> None:
        if not writable:
            self._agent.pause()
        elif self._phase is Phase.OPEN:
            self._agent.resume()

    def _agent_left(self) -> None:
        self.session.stop_upstream()
        self.end("agent_left")

    def _resource_left(self) -> None:
        self.end(
            "resource_left",
            Refuse(
                "resource.lost",
                "tidegate",
                "the resource's server closed the connection",
                "Connect again; what was under way is recorded as indeterminate.",
            ),
        )

    def _guarded(self, step: Callable[[], object]) -> None:
        """The session boundary: any surprise closes the session."""
        try:
            step()
        except TidegateError as error:
            self._fail(error)
        except Exception as error:
            surprise("session.surprise", error, sid=str(self.session.id))
            self._fail(AgentError(f"the gateway met a surprise ({type(error).__name__})", code="session.surprise"))

    def _fail(self, error: TidegateError) -> None:
        reason = {LogFailure: "log_failed", ResourceError: "resource_failed"}.get(type(error), "agent_failed")
        self.end(reason, Refuse(error.code, "tidegate", error.message, error.hint))


def _held_notice(hold: Hold) -> str:
    minutes, seconds = divmod(max(0, (hold.held.expires - hold.held.asked) // 1_000_000), 60)
    patience = f"{minutes}m {seconds}s" if minutes else f"{seconds}s"
    return f"held by rule {hold.held.rule} for approval {hold.held.id}; waiting up to {patience}"


def _log_refusal(failure: LogFailure) -> Refuse:
    return Refuse(failure.code, "tidegate", "the audit log cannot be written, so nothing is executed", failure.hint)
