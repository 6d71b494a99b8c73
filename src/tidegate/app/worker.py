"""One worker: listeners on the shared ports, a log and recordings of its own, a line to the supervisor.

``python -m tidegate.app.worker CONFIG NUMBER DESCRIPTOR`` is started by the supervisor and by nobody else. A worker
without its supervisor could not hear of a revocation: it ends its sessions at once and stops.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import structlog

from tidegate.enforcement.mandate import kept_bundle
from tidegate.enforcement.revocations import Revocations
from tidegate.errors import ConfigError, IntegrityError, LogFailure, ResourceError, TidegateError
from tidegate.gateway import halt, values
from tidegate.gateway.crew import BEAT, line_end
from tidegate.gateway.desk import DistantDesk
from tidegate.gateway.duties import Duties, Superior
from tidegate.gateway.line import Handler, Line, Words
from tidegate.gateway.standing import DistantGrantor
from tidegate.settings import Settings, load

from .parts import configuration
from .process import EXIT_LOG_FAILED, Process
from .road import Road
from .run import run

logger = structlog.get_logger("tidegate")

EXIT_ALONE = 69

MISSED = 3 * BEAT
"""Seconds without a sign of life from the supervisor, more than two beats, after which it counts as lost."""

_STATUS: dict[type[TidegateError], int] = {ConfigError: 78, LogFailure: EXIT_LOG_FAILED}

JOIN = 30.0
"""Seconds in which the supervisor must take in a worker."""


class Worker(Process):
    """One of several; ``end`` is its end of the line."""

    def __init__(self, settings: Settings, number: int, end: socket.socket) -> None:
        super().__init__(settings)
        self.worker = number
        self._end = end
        self._leaving = False

    def assemble(self) -> None:
        """The data path, with the supervisor in the place of what one process decides alone."""
        revocations = Revocations()
        handlers: dict[str, Handler] = {"stop": lambda _: self.stop()}
        self._line = Line(handlers, self._deserted)
        superior = Superior(self._line)
        self.road = Road(
            self.parts, revocations, desk=DistantDesk(self._line), places=superior, cancel_elsewhere=superior.cancel,
            others=superior, grants=DistantGrantor(self._line, self.parts.store),
        )  # fmt: skip
        self._duties = Duties(self.parts.log, self.parts.directory, self.road.sessions, revocations, self.road.door)
        handlers.update(self._duties.handlers())
        handlers.update(halt.handlers(self.road.sessions, revocations))
        handlers.update(values.handlers(self._line, self.road.door.keyring))
        handlers["policy"] = self._policy

    async def serve(self, ready: Callable[[], None]) -> None:
        """Join, serve agents until told to stop or left alone."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self._line, sock=self._end)
        await self._join()
        await self.road.open()
        async with asyncio.TaskGroup() as tasks:
            running = [*self.road.keep(tasks), *self.road.run(tasks), tasks.create_task(self._watch())]
            self._line.tell("serving")
            ready()
            await self.stopped()
            self._leaving = True
            await self.road.drain()
            for task in running:
                task.cancel()

    async def _join(self) -> None:
        about = {"cfg": configuration(self.settings)}
        log = self.parts.log
        try:
            force = await self._line.ask("join", JOIN, origin=log.origin, vkey=log.vkey, **about)
        except OSError:
            raise ResourceError("the supervisor does not take this worker in", code="gateway.alone") from None
        await self._adopt(str(force))

    async def _adopt(self, digest: str) -> None:
        """Judge by the policy that is in force, whatever the files say."""
        bundle = await asyncio.to_thread(kept_bundle, self.settings.data / "policies", digest)
        self.parts.engine.adopt(bundle)

    async def _policy(self, words: Words) -> bool:
        await self._adopt(words["ph"])
        return True

    async def _watch(self) -> None:
        await self._duties.watch(MISSED)
        self._deserted()

    def _deserted(self) -> None:
        if not self._leaving:
            logger.critical("supervisor.lost", worker=self.worker)
            self.road.sessions.deserted()
            self.stop(EXIT_ALONE)


def main() -> None:
    """Run one worker; exits with its status."""
    config, number, descriptor = sys.argv[1:]
    try:
        status = run(Worker(load(Path(config)), int(number), line_end(int(descriptor))), lambda: None)
    except TidegateError as error:
        logger.critical("worker.failed", worker=int(number), code=error.code, message=error.message, hint=error.hint)
        status = error.status if isinstance(error, IntegrityError) else _STATUS.get(type(error), EXIT_ALONE)
    sys.exit(status)


if __name__ == "__main__":
    main()
