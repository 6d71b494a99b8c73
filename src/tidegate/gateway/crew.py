"""The workers of a gateway as the supervisor sees them: started, asked, watched, replaced.

A worker that does not answer a question for all in time is killed before anybody is told that all know: whoever lives
has heard. One that dies is replaced, later each time; one that says its log or the disk is bad ends the gateway, as it
would end a gateway of one process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from tidegate.errors import ResourceError, TidegateError

from .line import Handler, Line

logger = structlog.get_logger("tidegate.gateway")

DEADLINE = 5.0
"""Seconds in which every worker must have heard what concerns all. Longer than the longest statement takes to parse:
a worker that is busy with one does nothing else meanwhile, so nothing slips through."""

BEAT = 1.0
"""Seconds between two signs of life."""

STILL = 15.0
"""Seconds without a sign of life after which a worker is taken for hung, though nothing waits for it."""

PATIENCE = 20.0
"""Seconds for an answer that waits for a worker's disk."""

STOP = 20.0
"""Seconds that workers may take to end their sessions."""

LONGEST_PAUSE = 30.0
STEADY = 60.0
"""Seconds between a worker's death and its successor at most; seconds of life after which the pauses start anew."""

FINAL = frozenset({65, 66, 75})
"""Exit statuses with which a worker says that evidence does not hold or cannot be written."""


@dataclass(slots=True, eq=False)
class Worker:
    """A running worker; ``live`` once it has joined, from then on it hears everything."""

    number: int
    process: asyncio.subprocess.Process
    line: Line
    live: bool = False
    serving: asyncio.Event = field(default_factory=asyncio.Event)


Handlers = Callable[[Worker], Mapping[str, Handler]]


class Crew:
    """``command`` starts worker ``number`` with a descriptor for its end of the line; event loop only."""

    def __init__(
        self,
        count: int,
        command: Callable[[int, int], Sequence[str]],
        handlers: Handlers,
        *,
        left: Callable[[Worker, int], None],
        failed: Callable[[int], None],
    ) -> None:
        self._count = count
        self._command = command
        self._handlers = handlers
        self._left = left
        self._failed = failed
        self._workers: dict[int, Worker] = {}
        self._begun = {number: asyncio.Event() for number in range(1, count + 1)}
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []

    # their life

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start all of them and keep them running."""
        self._keepers = [tasks.create_task(self._keep(number)) for number in self._begun]

    async def begun(self) -> None:
        """Wait until every worker has served once."""
        for event in self._begun.values():
            await event.wait()

    async def stop(self) -> None:
        """Ask them to end; who has not after ``STOP`` seconds is killed."""
        self._stopping.set()
        for worker in self._workers.values():
            worker.line.tell("stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP):
                await asyncio.shield(asyncio.gather(*self._keepers))
        for worker in self._workers.values():
            _kill(worker)
        await asyncio.gather(*self._keepers)

    def begins(self, worker: Worker) -> None:
        """It accepts agents."""
        worker.serving.set()
        self._begun[worker.number].set()

    async def _keep(self, number: int) -> None:
        pause = 0.25
        while not self._stopping.is_set():
            started = asyncio.get_running_loop().time()
            worker = await self._spawn(number)
            status = await self._outlive(worker)
            if self._stopping.is_set():
                self._left(worker, 0)
                return
            self._left(worker, status)
            if status in FINAL or not self._begun[number].is_set():
                self._failed(status if status > 0 else 70)
                return
            steady = asyncio.get_running_loop().time() - started > STEADY
            pause = 0.25 if steady else min(2 * pause, LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _spawn(self, number: int) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command(number, theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        handlers: dict[str, Handler] = {}
        line = Line(handlers, lambda: _kill(worker))
        worker = Worker(number, process, line)
        handlers.update(self._handlers(worker))
        self._workers[number] = worker
        await asyncio.get_running_loop().create_unix_connection(lambda: line, sock=ours)
        if self._stopping.is_set():
            line.tell("stop")
        return worker

    async def _outlive(self, worker: Worker) -> int:
        """Watch a worker until it is gone; gives its exit status."""
        beating = asyncio.create_task(self._beat(worker))
        try:
            return await worker.process.wait()
        finally:
            beating.cancel()
            worker.live = False
            worker.line.close()
            self._workers.pop(worker.number, None)

    async def _beat(self, worker: Worker) -> None:
        while True:
            await asyncio.sleep(BEAT)
            if worker.live:
                await self._answer(worker, worker.line.request("beat"), STILL)

    # what they are asked

    @property
    def live(self) -> list[Worker]:
        """Those that have joined."""
        return [worker for worker in self._workers.values() if worker.live]

    def all(self, what: str, *, but: Worker | None = None, **words: object) -> Awaitable[list[Any]]:
        """Ask every live worker; the questions are on their way when this returns.

        The answers are there within ``DEADLINE``, from all that still live then.
        """
        asked = [(worker, worker.line.request(what, **words)) for worker in self.live if worker is not but]
        return self._answers(asked)

    def tell(self, what: str, *, but: Worker | None = None, **words: object) -> None:
        """Tell every live worker."""
        for worker in self.live:
            if worker is not but:
                worker.line.tell(what, **words)

    async def find(self, what: str, **words: object) -> Any:
        """Ask all for what only one can answer; None when nobody does. Raises the one's error."""
        asked = [worker.line.request(what, **words) for worker in self.live]
        try:
            async with asyncio.timeout(PATIENCE):
                answers = await asyncio.gather(*asked, return_exceptions=True)
        except TimeoutError:
            raise ResourceError("a worker does not answer", hint="Try again.", code="worker.silent") from None
        for answer in answers:
            if isinstance(answer, TidegateError):
                raise answer
        return next((each for each in answers if each is not None and not isinstance(each, BaseException)), None)

    async def _answers(self, asked: Iterable[tuple[Worker, asyncio.Future[Any]]]) -> list[Any]:
        answers = await asyncio.gather(*(self._answer(worker, question) for worker, question in asked))
        return [answer for answer in answers if answer is not None]

    async def _answer(self, worker: Worker, question: asyncio.Future[Any], patience: float = DEADLINE) -> Any:
        """The answer, or None from a worker that is dead when this returns."""
        try:
            async with asyncio.timeout(patience):
                return await question
        except OSError:
            if worker.live:
                logger.error("worker.silent", worker=worker.number)
            _kill(worker)
            await worker.process.wait()
            return None


def _kill(worker: Worker) -> None:
    if worker.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            worker.process.kill()


def free_to_listen(family: int, host: str, port: int) -> None:
    """Raise OSError when somebody else has the address: workers share it, so they would not notice."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def line_end(descriptor: int) -> socket.socket:
    """A worker's end of the line, not handed down any further."""
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)
