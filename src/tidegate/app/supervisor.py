"""The process above the workers: it has the gateway's own log, serves the API, and lets every worker hear the same.

It is on no data path. Its log says what authority decides (identities, tokens, grants, revocations) and how far the
workers' logs have come; theirs say what sessions did.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from tidegate.audit.library import Library
from tidegate.audit.members import Members
from tidegate.enforcement.cancels import BITS
from tidegate.enforcement.places import Places
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import GRACE
from tidegate.errors import ConfigError, LogFailure, TidegateError
from tidegate.gateway.crew import Crew, Worker, free_to_listen
from tidegate.gateway.desk import answering
from tidegate.gateway.fleet import FleetSessions
from tidegate.gateway.halt import FleetHalt
from tidegate.gateway.line import Handler, Words
from tidegate.gateway.standing import deciding
from tidegate.gateway.values import FleetValues
from tidegate.model.event import Json
from tidegate.policy.rules import Bundle
from tidegate.settings import Settings

from .office import Office
from .parts import authority, close_leftovers, configuration, mandate
from .process import EXIT_LOG_FAILED, Process
from .road import Road

logger = structlog.get_logger("tidegate")

SLICE = 10_000
"""Revocations in one notice to a worker that joins."""

TELL_EVERY = 1.0
"""Seconds between two looks at the workers' checkpoints."""


class Supervisor(Process):
    """``workers: 2`` and more."""

    def assemble(self) -> None:
        """The crew, and the API over it. The data path here serves nobody; it only explains policies."""
        leaves = authority(self.parts.log)
        self._revocations = Revocations(leaves)
        self.road = Road(self.parts, self._revocations)
        self._leaves: Sequence[Mapping[str, Json]] = leaves
        self._places = Places(self.settings.limits.sessions)
        self._marks: dict[str, tuple[Worker, str, str]] = {}
        self._configuration = configuration(self.settings)
        self._members = Members(self.parts.log)
        self._crew = Crew(self.settings.workers, self._command, self._handlers, left=self._left, failed=self.stop)
        self._values = FleetValues(self._crew)
        self.mandate = mandate(self.parts, self.road.register, self._adopt)
        self.office = Office(
            self.parts, self.road, self._revocations, halt=FleetHalt(self._crew).halt,
            sessions=FleetSessions(self._crew), approvals=self.road.register,
            logs=Library(self.parts.log, self._seal), leaves=leaves, mandate=self.mandate,
        )  # fmt: skip

    async def serve(self, ready: Callable[[], None]) -> None:
        """Workers first, then the API; the other way round at the end."""
        await asyncio.to_thread(self._members.check)
        await asyncio.to_thread(close_leftovers, self.parts)
        _nobody_listens(self.settings)
        self.mandate.begin(self._leaves)
        self.road.restore(self._leaves)
        self._leaves = ()
        self.office.bind()
        async with asyncio.TaskGroup() as tasks:
            running = [*self.road.keep(tasks), tasks.create_task(self._tell())]
            if await self.unlocked(self.mandate, self.office, tasks):
                await self._serve_agents(tasks, ready)
            await self._crew.stop()
            await self.office.close()
            await self.road.chronicle.drained()
            await self.road.secrets.close()
            for task in running:
                task.cancel()
        with contextlib.suppress(LogFailure):
            await self._members.tell()

    async def _serve_agents(self, tasks: asyncio.TaskGroup, ready: Callable[[], None]) -> None:
        self._crew.start(tasks)
        begun = tasks.create_task(self._crew.begun())
        stopped = tasks.create_task(self.stopped())
        await asyncio.wait((begun, stopped), return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if not stopped.done():
            await self.office.open(tasks)
            ready()
            await stopped

    async def _adopt(self, bundle: Bundle) -> None:
        """Every worker judges by another policy when this returns: who does not say so is ended."""
        self.parts.engine.adopt(bundle)
        await self._crew.all("policy", ph=bundle.sha256)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_EVERY)
            try:
                await self._members.tell()
            except LogFailure:
                return
            except TidegateError as error:
                logger.critical("member.failed", code=error.code, message=error.message)
                self.stop(EXIT_LOG_FAILED)

    async def _seal(self) -> None:
        """What the workers have written can be read from their files."""
        with contextlib.suppress(TidegateError):
            await self._crew.find("seal")

    def _command(self, number: int, descriptor: int) -> list[str]:
        return [sys.executable, "-m", "tidegate.app.worker", str(self.settings.path), str(number), str(descriptor)]

    # what workers ask

    def _handlers(self, worker: Worker) -> Mapping[str, Handler]:
        return {
            "join": lambda words: self._join(worker, words),
            "serving": lambda _: self._crew.begins(worker),
            "open": lambda words: self._places.take(words["sid"], worker.number),
            "closed": lambda words: self._places.free(words["sid"]),
            "cancel": lambda words: self._cancel(words["number"], words["secret"]),
            "redefining": lambda words: self._redefining(worker, words),
            "standing": deciding(self.road.standing, self.parts.directory, self.settings.resources),
            "over": lambda words: self._over(f"{worker.number}.{words['mark']}"),
            **answering(self.road.register),
            **self._values.handlers(worker),
        }

    async def _join(self, worker: Worker, words: Words) -> str:
        """A worker's log becomes a member; it is told what it missed, and hears everything from here on.

        Gives the policy in force.
        """
        if words["cfg"] != self._configuration:
            raise ConfigError(
                "the configuration was changed since the gateway started",
                hint="Restart the gateway.",
                code="config.changed",
            )
        await self._members.join(words["origin"], words["vkey"])
        ids = list(self._revocations)
        for start in range(0, len(ids), SLICE):
            worker.line.tell("revoked", ids=ids[start : start + SLICE])
        for mark, (_, resource, database) in self._marks.items():
            worker.line.tell("redefining", resource=resource, database=database, mark=mark)
        self._values.join(worker)
        worker.live = True
        return self.parts.engine.bundle.sha256

    def _cancel(self, number: int, secret: str) -> None:
        holder = next((worker for worker in self._crew.live if worker.number == number >> BITS), None)
        if holder is None:
            self.road.failures("cancel.key", "")
        else:
            holder.line.tell("cancel", number=number, secret=secret)

    def _redefining(self, worker: Worker, words: Words) -> Awaitable[object]:
        mark, place = f"{worker.number}.{words['mark']}", (words["resource"], words["database"])
        self._marks[mark] = (worker, *place)
        return self._crew.all("redefining", but=worker, resource=place[0], database=place[1], mark=mark)

    def _over(self, mark: str) -> None:
        worker, resource, database = self._marks.pop(mark, (None, "", ""))
        if worker is not None:
            self._crew.tell("over", but=worker, resource=resource, database=database, mark=mark)

    def _left(self, worker: Worker, status: int) -> None:
        """A worker is gone, and with it its sessions; what it was redefining is over once they are read again."""
        sessions = self._places.left(worker.number)
        self._values.left(worker)
        for mark in [mark for mark, (by, _, _) in self._marks.items() if by is worker]:
            # Its statement may still run: until the upstream must have given it up, nothing is taken for settled.
            asyncio.get_running_loop().call_later(self.settings.limits.operation + GRACE, self._over, mark)
        if status or not self._stopping.is_set():
            logger.error("worker.lost", worker=worker.number, status=status, sessions=sessions)
            with contextlib.suppress(LogFailure):
                self.parts.log.append("worker.lost", {"worker": worker.number, "status": status, "sessions": sessions})


def _nobody_listens(settings: Settings) -> None:
    """Raise ConfigError when another process has an address: workers share theirs, so they would not notice."""
    own = (resource.listen for resource in settings.resources.values())
    for address in (*settings.listen.values(), *own):
        if address is None:
            continue
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            free_to_listen(family, address.host, address.port)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address}: {error.strerror or error}",
                hint="Another process has the port, or the address is not this machine's: change tidegate.yaml.",
                code="config.listen",
            ) from error
