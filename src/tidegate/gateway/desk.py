"""The register of approvals from a worker's place: it is the supervisor's, at the other end of the line.

A worker that loses its supervisor gets no answer any more, so nothing that is held goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pydantic import TypeAdapter

from tidegate.enforcement.register import Desk
from tidegate.errors import LogFailure
from tidegate.model.approval import Held, Question

from .line import Handler, Line, Words

_QUESTION = TypeAdapter(Question)
_HELD = TypeAdapter(Held)

PATIENCE = 20.0
"""Seconds for an answer that waits for the supervisor's disk."""


class DistantDesk:
    """Implements ``enforcement.register.Desk``."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def ask(self, question: Question) -> Held:
        """See ``Desk``. Raises LogFailure when the supervisor does not answer."""
        return await self._held("ask", PATIENCE, question=question)

    async def wait(self, id: str, patience: float) -> Held:
        """See ``Desk``. Raises LogFailure when the supervisor does not answer."""
        return await self._held("await", patience + PATIENCE, id=id, patience=patience)

    async def use(self, id: str, digest: str, sid: str) -> None:
        """See ``Desk``. Raises LogFailure when the supervisor does not answer."""
        try:
            await self._line.ask("use", PATIENCE, id=id, digest=digest, sid=sid)
        except OSError:
            raise _alone() from None

    def withdraw(self, id: str, sid: str) -> None:
        """See ``Desk``."""
        self._line.tell("withdraw", id=id, sid=sid)

    def void(self, id: str, reason: str) -> None:
        """See ``Desk``."""
        self._line.tell("void", id=id, reason=reason)

    async def _held(self, what: str, within: float, **words: object) -> Held:
        try:
            async with asyncio.timeout(within):
                return _HELD.validate_python(await self._line.request(what, **words))
        except OSError:
            raise _alone() from None


def answering(desk: Desk) -> Mapping[str, Handler]:
    """What the supervisor answers, by what is asked."""

    async def use(words: Words) -> bool:
        await desk.use(words["id"], words["digest"], words["sid"])
        return True

    return {
        "ask": lambda words: desk.ask(_QUESTION.validate_python(words["question"])),
        "await": lambda words: desk.wait(words["id"], words["patience"]),
        "use": use,
        "withdraw": lambda words: desk.withdraw(words["id"], words["sid"]),
        "void": lambda words: desk.void(words["id"], words["reason"]),
    }


def _alone() -> LogFailure:
    return LogFailure("this worker has lost its supervisor", hint="Connect again.", code="gateway.alone")
