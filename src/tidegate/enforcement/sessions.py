"""The sessions that are open: listed, limited in time, ended on demand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

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
    worker: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """What a kill switch strikes: ``of`` is ``grant``, ``subject``, ``resource`` or ``all``, and ``id`` which one.

    ``word`` keeps it from coming back (``Revocations.add``); ``by`` is the subject of who ordered it.
    """

    of: str
    id: str
    word: str
    by: str
    reason: str

    def strikes(self, session: Session) -> bool:
        """Whether the order is about this session."""
        match self.of:
            case "grant":
                return session.grant.id == self.id
            case "subject":
                return session.identity.rests_on(self.id)
            case "resource":
                return session.resource.name == self.id
            case _:
                return self.of == "all"


class LiveSessions(Protocol):
    """The open sessions of a whole gateway, whichever of its processes they are in."""

    async def live(self) -> list[SessionView]:
        """Every open session."""

    async def kill(self, sid: str, by: Identity, reason: str) -> None:
        """End one session now; the event is durable before the caller hears of it. Raises Refused."""

    async def end_of_token(self, token: str) -> None:
        """End the sessions that a token opened."""

    async def end_of_grant(self, grant: str) -> None:
        """End the sessions that a grant carries."""

    async def end_of_subject(self, subject: str) -> None:
        """End the sessions that somebody has a part in."""


class Sessions:
    """Those of one process, ``worker`` by number (0 where there are none). Event loop only."""

    def __init__(
        self, log: Log, clock: Clock, limits: Limits, told: Callable[[SessionView], None], worker: int = 0
    ) -> None:
        self._log = log
        self._worker = worker
        self._clock = clock
        self._limits = limits
        self._told = told
        self._open: dict[str, tuple[Session, Relay | None]] = {}
        self._rests: dict[str, frozenset[str]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self.full: LogFailure | None = None
        self.alone: LogFailure | None = None

    def __len__(self) -> int:
        return len(self._open)

    def on(self, resource: str) -> bool:
        """Whether a session of the resource is open."""
        return any(session.resource.name == resource for session, _ in self._open.values())

    def add(self, session: Session, rests: frozenset[str] = frozenset()) -> None:
        """A session begins; ``rests`` are further ids of tokens and grants that it ends with."""
        self._rests[str(session.id)] = rests | {session.token, session.grant.id}
        self._open[str(session.id)] = (session, None)
        self._empty.clear()
        self._told(self._view(session, None))

    def relaying(self, session: Session, relay: Relay) -> None:
        """Its relay runs."""
        self._open[str(session.id)] = (session, relay)

    def remove(self, session: Session, reason: str) -> None:
        """It is over."""
        self._rests.pop(str(session.id), None)
        if self._open.pop(str(session.id), None) is not None:
            self._told(replace(self._view(session, None), state="ended", ended=self._clock.now(), reason=reason))
        if not self._open:
            self._empty.set()

    async def drained(self, patience: float) -> None:
        """Wait until no session is open, ``patience`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._empty.wait()

    async def live(self) -> list[SessionView]:
        """Every open session, oldest first."""
        return [self._view(session, relay) for session, relay in self._open.values()]

    async def kill(self, sid: str, by: Identity, reason: str) -> None:
        """End one session now; the event is durable before the caller hears of it. Raises Refused."""
        if sid not in self._open:
            raise Refused("no such session is open", hint="See: tidegate sessions ls", code="session.unknown")
        session, _ = self._open[sid]
        session.trail.append("session.killed", {"by": by.person.subject}, {"why": reason.encode()})
        session.stop_upstream()
        self._cut(sid, "killed", Refuse("session.killed", "tidegate", "the session was ended by an operator", reason))
        await self._log.sync()

    async def end_of_token(self, token: str) -> None:
        """End the sessions that a token opened, or one that was exchanged for it."""
        self._end_where(lambda session: token in self._rests[str(session.id)], "token_revoked", "the token was revoked")

    async def end_of_grant(self, grant: str) -> None:
        """End the sessions that a grant carries, or whose token was exchanged for one of its tokens."""
        self._end_where(lambda session: grant in self._rests[str(session.id)], "grant_revoked", "the grant was revoked")

    async def end_of_subject(self, subject: str) -> None:
        """End the sessions that somebody has a part in, or answers for."""
        self._end_where(lambda s: s.identity.rests_on(subject), "identity_disabled", "an identity was disabled")

    def end_of_account(self, sid: str) -> None:
        """End a session whose account at the upstream has ended."""
        self._end_where(lambda s: str(s.id) == sid, "account_ended", "the account it used at the upstream has ended")

    def halt(self, order: Order) -> int:
        """Carry out the order of a kill switch here and now; gives the number of sessions that it ended."""
        struck = [(sid, session) for sid, (session, _) in self._open.items() if order.strikes(session)]
        refusal = Refuse("session.killed", "tidegate", "the session was ended by an operator", order.reason)
        for sid, session in struck:
            session.trail.append("session.killed", {"by": order.by}, {"why": order.reason.encode()})
            session.stop_upstream()
            self._cut(sid, "killed", refusal)
        return len(struck)

    def end_all(self, reason: str, words: str) -> None:
        """End every session: shutdown, or a log that fails."""
        self._end_where(lambda _: True, reason, words)

    def deserted(self) -> None:
        """Nobody tells this worker any more who was revoked or killed: nothing goes on, nothing begins."""
        self.alone = LogFailure("this worker has lost its supervisor", hint="Connect again.", code="gateway.alone")
        self.end_all("supervisor_lost", "this worker has lost its supervisor")

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
            totals["operations"], totals["refused"], totals["held"], totals["masked"], totals["rows"], self._worker,
        )  # fmt: skip
