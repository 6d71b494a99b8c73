"""The sessions that are open: listed, limited in time, ended on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import LogFailure, Refused
from tidegate.model.identity import Identity
from tidegate.model.verdict import Refuse
from tidegate.settings import Limits

from .relay import Relay
from .session import Session

ROOM_FOR_OPERATIONS = 0.05

GRACE = 5.0
"""Seconds past the operation limit before the gateway cuts a session whose upstream does not give up by itself."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """An open session as others see it; times in Unix microseconds."""

    sid: str
    identity: Identity
    resource: str
    grant: str
    token: str
    started: int
    expires: int
    state: str
    ended: int
    reason: str
    operations: int
    refused: int
    held: int
    masked: int
    rows: int


class Sessions:
    """Event loop only."""

    def __init__(self, log: Log, clock: Clock, limits: Limits, told: Callable[[SessionView], None]) -> None:
        self._log = log
        self._clock = clock
        self._limits = limits
        self._told = told
        self._open: dict[str, tuple[Session, Relay | None]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.full: LogFailure | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, session: Session) -> None:
        """A session begins."""
        self._open[str(session.id)] = (session, None)
        self._empty.clear()
        self._told(self._view(session, None))

    def relaying(self, session: Session, relay: Relay) -> None:
        """Its relay runs."""
        self._open[str(session.id)] = (session, relay)

    def remove(self, session: Session, reason: str) -> None:
        """It is over."""
        if self._open.pop(str(session.id), None) is not None:
            self._told(replace(self._view(session, None), state="ended", ended=self._clock.now(), reason=reason))
        if not self._open:
            self._empty.set()

    async def drained(self, patience: float) -> None:
        """Wait until no session is open, ``patience`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._empty.wait()

    def live(self) -> list[SessionView]:
        """Every open session, oldest first."""
        return [self._view(session, relay) for session, relay in self._open.values()]

    async def kill(self, sid: str, by: Identity, reason: str) -> None:
        """End one session now; the event is durable before the caller hears of it. Raises Refused."""
        if sid not in self._open:
            raise Refused("no such session is open", hint="See: tidegate sessions ls", code="session.unknown")
        session, _ = self._open[sid]
        session.trail.append("session.killed", {"by": by.person.subject}, {"why": reason.encode()})
        self._cut(sid, "killed", Refuse("session.killed", "tidegate", "the session was ended by an operator", reason))
        await self._log.sync()

    async def end_of_token(self, token: str) -> None:
        """End the sessions that a token opened."""
        self._end_where(lambda session: session.token == token, "token_revoked", "the token was revoked")

    async def end_of_grant(self, grant: str) -> None:
        """End the sessions that a grant carries."""
        self._end_where(lambda session: session.grant.id == grant, "grant_revoked", "the grant was revoked")

    async def end_of_subject(self, subject: str) -> None:
        """End the sessions that somebody has a part in."""
        self._end_where(lambda s: subject in s.identity.subjects, "identity_disabled", "an identity was disabled")

    def end_all(self, reason: str, words: str) -> None:
        """End every session: shutdown, or a log that fails."""
        self._end_where(lambda _: True, reason, words)

    async def sweep(self) -> None:
        """Once a second, end what is past its limits: grant, life, idleness, one operation."""
        while True:
            await asyncio.sleep(1)
            self._watch_room()
            now, loop_time = self._clock.now(), asyncio.get_running_loop().time()
            for sid, (session, relay) in list(self._open.items()):
                over = self._over(session, relay, now, loop_time)
                if over is not None:
                    session.stop_upstream()
                    self._cut(sid, over[0], Refuse(over[0], "tidegate", over[1], "Connect again if you still may."))

    def _watch_room(self) -> None:
        """Below 5 % of free space no operation is judged any more; what is open can still be closed."""
        if self._log.room() < ROOM_FOR_OPERATIONS:
            self.full = LogFailure("the disk that holds the evidence is full", hint="Free space on it.")
        else:
            self.full = None

    def _over(self, session: Session, relay: Relay | None, now: int, loop_time: float) -> tuple[str, str] | None:
        if now >= session.grant.expires:
            return "grant.expired", "the grant has expired"
        if now - session.started > self._limits.session * 1_000_000:
            return "session.too_long", "the session has reached its longest duration"
        if relay is None or relay.held:
            return None
        if relay.waiting and loop_time - relay.since > self._limits.operation + GRACE:
            return "operation.too_long", "the operation has reached its longest duration"
        if not relay.waiting and loop_time - relay.active > self._limits.idle:
            return "session.idle", "the session was idle for too long"
        return None

    def _end_where(self, which: Callable[[Session], bool], reason: str, words: str) -> None:
        for sid, (session, _) in list(self._open.items()):
            if which(session):
                session.stop_upstream()
                self._cut(sid, reason, Refuse(reason.replace("_", "."), "tidegate", words, ""))

    def _cut(self, sid: str, reason: str, refusal: Refuse) -> None:
        session, _ = self._open[sid]
        session.ended = reason
        if session.kill is not None:
            session.kill(reason, refusal)

    def _view(self, session: Session, relay: Relay | None) -> SessionView:
        state = "opening" if relay is None else "held" if relay.held else "busy" if relay.waiting else "idle"
        totals = session.totals
        return SessionView(
            str(session.id), session.identity, session.resource.name, session.grant.id, session.token,
            session.started, session.grant.expires, state, 0, "",
            totals["operations"], totals["refused"], totals["held"], totals["masked"], totals["rows"],
        )  # fmt: skip
