"""The gateway's real relay and wire between byte queues: everything is real but sockets, policy and the log's disk.

A text with ``refuse`` in it is refused, one with ``hold`` waits for people, who always give the same answer; all else
is allowed. ``Bench`` records what was judged, and checks rule 1 and rule 3 of the design at every byte that is
written upstream: it was recorded before, and what runs because of it was allowed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

from playbook import Watcher
from tidegate.enforcement.relay import Relay
from tidegate.enforcement.scrub import Known, Scrub
from tidegate.enforcement.session import Allow, Cut, Hold
from tidegate.errors import TidegateError
from tidegate.model.operation import STREAMED, Facts, Operation, Outcome, Request, Verb
from tidegate.model.verdict import Refuse
from tidegate.wire.postgres import PostgresWire
from tidegate.wire.postgres_requests import PART
from unit.wire.messages import CATALOG, classify

from .server import Server, several

LIMIT = 4096
"""The greatest message in bytes that the wire holds."""

NO = Refuse("policy.refused", "no-such", "it is refused", "Ask a person.")
FAILING = "refused by tidegate"
CODE = {"refuse": 2, "hold": 1}


def strictness(operation: Operation) -> int:
    """0 to allow, 1 to hold, 2 to refuse."""
    return max((level for word, level in CODE.items() if word in operation.facts.text), default=0)


def understood(text: str) -> tuple[Facts, ...]:
    """What a parser says; what it cannot read is unknown, since a classifier never raises."""
    try:
        return classify(text)
    except (LookupError, ValueError):
        return (Facts(Verb.UNKNOWN, "unparsed", text),)


class End:
    """A stream without a socket: what is written goes to ``write``."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.congested = self.gone = False
        self.received: Callable[[bytes], None] = lambda data: None

    def feed(self, received: Callable[[bytes], None], left: object, writable: object) -> None:
        self.received = received

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Judge(Watcher):
    """Stands where a session stands: judges by words, keeps what it allowed, and what was recorded."""

    def __init__(self, dice: Random, patient: bool) -> None:
        super().__init__()
        self.allowed: list[Operation] = []
        self.recorded = self.taken = b""
        self.names = SimpleNamespace(settling=False, untold=lambda session: False)
        self.id = 0
        self.redefined = self.excess = self.unasked = False
        self.sight = SimpleNamespace(touched=False)
        self.cancelling = self.kill = None
        self.trail = self
        self._dice, self._patient = dice, patient

    def judge(self, request: Request) -> Allow | Refuse | Hold | Cut:
        levels = [strictness(operation) for operation in request.operations]
        worst = max(levels, default=0)
        if worst and request.divisible:
            least = 0 if request.headed else levels[0]
            for operation, level in zip(request.operations, levels, strict=True):
                if level > least:
                    return Cut(operation)
        if worst == 2:
            return NO
        if worst == 1:
            return Hold(request, (), ())
        return self._allow(request)

    def _allow(self, request: Request) -> Allow:
        self.allowed += request.operations
        self.open.update(request.operations)
        return Allow(request, 0, effect=any(operation.facts.effect for operation in request.operations))

    async def settle(self, hold: Hold, _bind: object, tell: Callable[[Any], None]) -> Allow | Refuse:
        tell(SimpleNamespace(asked=0, expires=0, question=SimpleNamespace(rule="people"), id="a-1"))
        for _ in range(self._dice.randrange(4)):
            await asyncio.sleep(0)
        return self._allow(hold.request) if self._patient else NO

    def returned(self, data: bytes) -> bool:
        return False

    def withdraw(self, request: Request, reason: str) -> None: ...

    def stop_upstream(self) -> None: ...

    def request(self, raw: bytes, forwarded: bytes) -> None:
        self.taken += raw
        self.recorded += forwarded

    def response(self, received: bytes, delivered: bytes) -> None: ...

    def done(self, operation: Operation, outcome: Outcome) -> None:
        assert operation in self.open, "the end of an operation that was never allowed, or a second end"
        self.open.remove(operation)


class Watched(Relay):
    """The relay, but for its last resort: a surprise is not told to the agent, it fails the test."""

    surprise: Exception | None = None

    def _guarded(self, step: Callable[[bytes], None], data: bytes = b"") -> None:
        try:
            step(data)
        except TidegateError as error:
            self._fail(error)
        except Exception as error:
            self.surprise = self.surprise or error
            self.end("surprise")


class Bench:
    """One agent, the relay, and the model of a server behind it; ``patient`` people approve what is held."""

    def __init__(self, seed: int, *, patient: bool) -> None:
        self.dice = Random(seed)
        self.judge = Judge(self.dice, patient)
        self.server = Server(ran=self._ran, planned=self._planned)
        self.wire = PostgresWire(understood, lambda: CATALOG, LIMIT)
        self.written = self.shown = self.sent = b""
        self.reason = ""
        self._runs = list[Operation]()

    def play(self, data: bytes) -> Bench:
        """The agent says ``data``; everything that can come of it does."""
        asyncio.run(self._play(data))
        return self

    async def _play(self, data: bytes) -> None:
        agent, upstream = End(self._show), End(self._write)
        log: Any = SimpleNamespace(durable=0, flush=lambda: None, after_write=lambda step, data: step(data))
        streams: Sequence[Any] = (self.judge, agent, upstream)
        relay = Watched(*streams, self.wire, log, buffer=2**20, scrub=Scrub(Known()))
        running = asyncio.ensure_future(relay.run())
        await asyncio.sleep(0)
        pieces = self._pieces(data)
        quiet = 0
        while quiet < 12 and not running.done():
            quiet += 1
            if self.server.said and self.dice.randrange(3):
                size = self.dice.choice((1, 7, 100, 10**6))
                piece, self.server.said = self.server.said[:size], self.server.said[size:]
                upstream.received(piece)
                quiet = 0
            elif (sent := next(pieces, None)) is not None:
                self.sent += sent
                agent.received(sent)
                quiet = 0
            assert self.wire.buffered <= max(LIMIT, PART) + len(sent or b"") + 200 or self.wire.waiting, "no bound"
            quiet = 0 if self.server.said else quiet
            await asyncio.sleep(0)
        relay.end("quiet" if not running.done() else "")
        self.reason = await running
        if relay.surprise is not None:
            raise relay.surprise

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        while data:
            size = self.dice.choice((1, 5, 60, 10**6))
            yield data[:size]
            data = data[size:]

    def _show(self, data: bytes) -> None:
        self.shown += data

    def _write(self, data: bytes) -> None:
        self.written += data
        assert self.written == self.judge.recorded, "bytes went upstream that were not recorded before"
        assert self.sent.startswith(self.judge.taken), "what was recorded is not what the agent sent"
        self.server.feed(data)

    def _ran(self, text: str, parameters: bytes, meaning: str) -> None:
        """The server runs this now: one allowed operation must say so, and is used up."""
        for operation in self.judge.allowed:
            if operation.phase == "execute" and self._covers(operation, text, parameters, meaning):
                self.judge.allowed.remove(operation)
                self._runs.append(operation)
                return
        raise AssertionError(f"{text!r} with {parameters!r} runs, which nobody allowed")

    def _covers(self, operation: Operation, text: str, parameters: bytes, meaning: str) -> bool:
        if operation.facts.verb is Verb.UNKNOWN:
            return operation.facts.text in ("", text)
        if meaning != text and operation.facts.verb not in (Verb.EXECUTE, understood(meaning)[0].verb):
            return False
        # What SQL's own PREPARE made and a Bind runs is judged as what it is, under the text that made it.
        made = operation.facts.text.partition(" as ")[2].strip()
        same = text == operation.facts.text or (text == made and operation.facts.verb is understood(text)[0].verb)
        return same and operation.parameters in (parameters, STREAMED)

    def _planned(self, name: str, text: str) -> None:
        """The server parses this now."""
        judged = {operation.facts.text for operation in (*self.judge.allowed, *self._runs)}
        known = text == FAILING or not several(text) or text in judged or set(several(text)) <= judged
        assert known, f"{text!r} is planned, which nobody allowed"
