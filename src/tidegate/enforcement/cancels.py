"""Cancel requests: they arrive on a connection of their own, so they name a session by keys that are the gateway's."""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tidegate.audit.log import Log
from tidegate.errors import LogFailure

from .session import Session


@dataclass(slots=True)
class _Entry:
    secret: bytes
    session: Session
    cancel: Callable[[], Awaitable[None]]


class CancelDesk:
    """Keys of open sessions; event loop only."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._entries: dict[int, _Entry] = {}

    def register(self, session: Session, cancel: Callable[[], Awaitable[None]]) -> tuple[int, bytes]:
        """Fresh keys: a 31-bit number and a secret of 4 bytes. ``cancel`` asks the upstream to give up."""
        number = 0
        while not number or number in self._entries:
            number = int.from_bytes(os.urandom(4), "big") & 0x7FFFFFFF
        secret = os.urandom(4)
        self._entries[number] = _Entry(secret, session, cancel)
        return number, secret

    def forget(self, session: Session) -> None:
        """The session is over: its keys open nothing any more."""
        self._entries = {number: entry for number, entry in self._entries.items() if entry.session is not session}

    async def cancel(self, number: int, secret: bytes) -> None:
        """Cancel what the named session has under way; wrong keys do nothing and say nothing."""
        entry = self._entries.get(number)
        if hmac.compare_digest(entry.secret if entry else b"\0" * 4, secret) and entry is not None:
            await self.give_up(entry.session)

    async def give_up(self, session: Session) -> None:
        """Cancel for a session: a held request is withdrawn; one under way upstream is cancelled, with its intent."""
        entry = next((entry for entry in self._entries.values() if entry.session is session), None)
        if entry is None or session.withdraw_question() or not session.busy():
            return
        session.trail.append("gateway.statement", {"res": session.resource.name, "op": "cancel"})
        try:
            await self._log.sync()
        except LogFailure:
            return
        if session.busy():
            await entry.cancel()
