"""What a worker does when its supervisor asks, and what it asks of the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from tidegate.audit.log import Log
from tidegate.enforcement.door import Door
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import Sessions
from tidegate.errors import LogFailure
from tidegate.identity.directory import Directory
from tidegate.model.identity import Identity

from .line import Handler, Line, Words

PATIENCE = 10.0
"""Seconds for an answer of the supervisor."""

SEALED_WITHIN = 5.0
"""Seconds until a checkpoint covers what is in the log; one is due every second."""


class Duties:
    """The answers to the supervisor's questions; event loop only."""

    def __init__(
        self,
        log: Log,
        directory: Directory,
        sessions: Sessions,
        revocations: Revocations,
        door: Door,
    ) -> None:
        self._log = log
        self._directory = directory
        self._sessions = sessions
        self._revocations = revocations
        self._door = door
        self._silence = 0

    def handlers(self) -> Mapping[str, Handler]:
        """By what is asked."""
        atlas, desk = self._door.atlas, self._door.cancels()
        return {
            "beat": lambda _: self._beat(),
            "revoked": lambda words: self._revoked(words["ids"]),
            "end": self._end,
            "sessions": lambda _: self._sessions.live(),
            "kill": self._kill,
            "seal": lambda _: self._sealed(),
            "cancel": lambda words: desk.cancel(words["number"], bytes.fromhex(words["secret"])),
            "redefining": lambda words: atlas.redefining_elsewhere(words["resource"], words["database"], words["mark"]),
            "over": lambda words: atlas.over_elsewhere(words["resource"], words["database"], words["mark"]),
        }

    async def watch(self, missed: float) -> None:
        """Return when the supervisor has given no sign of life for ``missed`` seconds of this loop's own time."""
        while self._silence < missed * 2:
            await asyncio.sleep(0.5)
            self._silence += 1

    def _beat(self) -> bool:
        self._silence = 0
        return True

    def _revoked(self, ids: list[str]) -> None:
        for id in ids:
            self._revocations.add(id)

    async def _end(self, words: Words) -> bool:
        self._revocations.add(words["id"])
        ends = {
            "token": self._sessions.end_of_token,
            "grant": self._sessions.end_of_grant,
            "subject": self._sessions.end_of_subject,
        }
        await ends[words["of"]](words["id"])
        return True

    async def _kill(self, words: Words) -> bool | None:
        if not any(view.sid == words["sid"] for view in await self._sessions.live()):
            return None
        await self._sessions.kill(words["sid"], await self._who(words), words["reason"])
        return True

    async def _who(self, words: Words) -> Identity:
        """Who acts, with the groups of this moment. Raises AgentError for somebody who is disabled."""
        return await asyncio.to_thread(self._directory.resolve, words["by"])

    async def _sealed(self) -> bool:
        """Wait until everything that is in the log now can be read in its place, under a checkpoint."""
        size = self._log.size
        await self._log.settled()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEALED_WITHIN):
                while _covered(self._log.checkpoint()) < size:  # noqa: ASYNC110 - the log has no event for it
                    await asyncio.sleep(0.02)
        return True


class Superior:
    """The supervisor as a worker needs it: places for sessions, news for the other workers."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def take(self, sid: str) -> None:
        """A place for a session. Raises Refused ``gateway.full``, LogFailure when nobody answers."""
        try:
            await self._line.ask("open", PATIENCE, sid=sid)
        except OSError:
            raise LogFailure("this worker has lost its supervisor", hint="Try again.", code="gateway.alone") from None

    def free(self, sid: str) -> None:
        """Its place is free again."""
        self._line.tell("closed", sid=sid)

    def redefining(self, resource: str, database: str, mark: str) -> asyncio.Future[None]:
        """Something may redefine objects from now on; done when every other worker knows."""
        return self._line.request("redefining", resource=resource, database=database, mark=mark)

    def over(self, resource: str, database: str, mark: str) -> None:
        """It has ended."""
        self._line.tell("over", resource=resource, database=database, mark=mark)

    async def cancel(self, number: int, secret: bytes) -> None:
        """A cancel request for a session of another worker."""
        self._line.tell("cancel", number=number, secret=secret.hex())


def _covered(checkpoint: bytes) -> int:
    """The size that a checkpoint signs (c2sp.org/tlog-checkpoint)."""
    return int(checkpoint.split(b"\n", 2)[1]) if checkpoint else 0
