"""A gateway of one process: the data path and the API on one loop, one log; logs of earlier workers stay members."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tidegate.audit.library import Library
from tidegate.audit.members import Members
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import Order
from tidegate.model.event import Json
from tidegate.policy.rules import Bundle

from .office import Office
from .parts import authority, close_leftovers, mandate
from .process import Process
from .road import Road


class Alone(Process):
    """``workers: 1``."""

    def assemble(self) -> None:
        """The data path, and the API over it."""
        leaves = authority(self.parts.log)
        revocations = Revocations(leaves)
        self.road = Road(self.parts, revocations)
        self._leaves: Sequence[Mapping[str, Json]] = leaves
        self._members = Members(self.parts.log)
        self.mandate = mandate(self.parts, self.road.register, self._adopt)
        self.office = Office(
            self.parts, self.road, revocations, halt=self._halt,
            sessions=self.road.sessions, approvals=self.road.register, logs=Library(self.parts.log),
            leaves=leaves,
            mandate=self.mandate,
        )  # fmt: skip

    async def _halt(self, order: Order) -> int:
        return self.road.sessions.halt(order)

    async def _adopt(self, bundle: Bundle) -> None:
        self.parts.engine.adopt(bundle)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Agents and API until stopped; the API is the last to close."""
        await asyncio.to_thread(self._members.check)
        await asyncio.to_thread(close_leftovers, self.parts)
        await self._members.tell()
        self.mandate.begin(self._leaves)
        self.road.restore(self._leaves)
        self._leaves = ()
        self.office.bind()
        async with asyncio.TaskGroup() as tasks:
            running = self.road.keep(tasks)
            if await self.unlocked(self.mandate, self.office, tasks):
                await self.road.open()
                running += self.road.run(tasks)
                await self.office.open(tasks)
                ready()
            await self.stopped()
            await self.road.drain()
            await self.office.close()
            for task in running:
                task.cancel()
