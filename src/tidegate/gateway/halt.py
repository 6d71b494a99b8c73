"""The kill switch between a supervisor and its workers: an order reaches every session within a second.

A worker carries it out as soon as it has read it. One that has not answered in ``DEADLINE`` seconds is killed with its
sessions: who lives has obeyed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import asdict

import structlog

from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import Order, Sessions

from .crew import Crew, Worker
from .line import Handler, Words

logger = structlog.get_logger("tidegate.gateway")

DEADLINE = 0.9
"""Seconds that a worker has for an order; with what else it takes, sessions are cut within one second."""


class FleetHalt:
    """The supervisor's side."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def halt(self, order: Order) -> int:
        """Have an order carried out by every worker; gives the number of sessions that ended."""
        asked = [(worker, worker.line.request("halt", **asdict(order))) for worker in self._crew.live]
        return sum(await asyncio.gather(*(self._obeyed(worker, answer) for worker, answer in asked)))

    @staticmethod
    async def _obeyed(worker: Worker, answer: asyncio.Future[int]) -> int:
        try:
            async with asyncio.timeout(DEADLINE):
                return await answer
        except OSError:  # it has not answered in time, or is gone
            logger.error("worker.disobeyed", worker=worker.number)
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
            await worker.process.wait()
            return 0


def handlers(sessions: Sessions, revocations: Revocations) -> Mapping[str, Handler]:
    """The worker's side."""

    def halt(words: Words) -> int:
        order = Order(**words)
        revocations.add(order.word)
        return sessions.halt(order)

    return {"halt": halt}
