"""Cancel requests: they arrive on a connection of their own, so they name a session by keys that are the gateway's.

A cancel names no request, only a session: the upstream hits whatever runs when it acts. So from its arrival until the
upstream has acted (it closes the cancel's connection then) no further request of the session is forwarded, and it is
passed on only if something is still under way after its own intent is durable: it never kills the next request.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tidegate.audit.log import Log
from tidegate.errors import LogFailure, ResourceError
from tidegate.model.verdict import Refuse

from .session import Session

BITS = 23
"""A key's number has 31 bits: above these stands the worker that has the session, and these are random."""

WORKERS = 1 << 31 - BITS

SHORT = 4
"""Bytes of a secret that every client can keep."""

LOST = Refuse(
    "resource.cancel",
    "tidegate",
    "the resource's server did not say whether it has cancelled the operation",
    "Connect again; what was under way is recorded as indeterminate.",
)

Elsewhere = Callable[[int, bytes], Awaitable[None]]


@dataclass(slots=True)
class _Entry:
    secret: bytes = field(repr=False)
    session: Session
    cancel: Callable[[], Awaitable[None]]


class CancelDesk:
    """Keys of the open sessions of one ``worker``; event loop only.

    ``elsewhere`` is given the keys that name another worker's session; ``failures`` counts those that name none.
    """

    def __init__(
        self,
        log: Log,
        failures: Callable[[str, str], None],
        *,
        worker: int = 0,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        if not 0 <= worker < WORKERS:
            raise ValueError(f"no key can name worker {worker}")
        self._log = log
        self._failures = failures
        self._worker = worker
        self._elsewhere = elsewhere
        self._entries: dict[int, _Entry] = {}
        self._asking: set[asyncio.Task[None]] = set()

    def register(
        self, session: Session, cancel: Callable[[], Awaitable[None]], *, length: int = SHORT
    ) -> tuple[int, bytes]:
        """Fresh keys: a 31-bit number, never 0, and a secret of ``length`` bytes.

        ``cancel`` asks the upstream to give up and returns when it has acted. It raises ResourceError if it was not
        asked, and TimeoutError if it was but nobody knows whether it has acted.
        """
        number = 0
        while not number or number in self._entries:
            number = self._worker << BITS | int.from_bytes(os.urandom(4), "big") >> 32 - BITS
        secret = os.urandom(length)
        self._entries[number] = _Entry(secret, session, cancel)
        return number, secret

    def forget(self, session: Session) -> None:
        """The session is over: its keys open nothing any more."""
        self._entries = {number: entry for number, entry in self._entries.items() if entry.session is not session}

    async def cancel(self, number: int, secret: bytes, peer: str = "") -> None:
        """Cancel what the named session has under way; wrong keys do nothing and say nothing, but are counted."""
        if number >> BITS != self._worker and self._elsewhere is not None:
            await self._elsewhere(number, secret)
            return
        entry = self._entries.get(number)
        if hmac.compare_digest(entry.secret if entry else bytes(len(secret)), secret) and entry is not None:
            # It ends by its own deadline, not with the connection that asked: until then nothing else is forwarded.
            task = asyncio.get_running_loop().create_task(self.give_up(entry.session))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            await asyncio.shield(task)
        else:
            self._failures("cancel.key", peer)

    async def give_up(self, session: Session) -> None:
        """Cancel for a session: a held request is withdrawn; one under way upstream is cancelled, with its intent.

        While ``session.cancelling`` is set the relay forwards no further request; another cancel would be the same one.
        """
        entry = next((entry for entry in self._entries.values() if entry.session is session), None)
        if entry is None or session.cancelling is not None or session.withdraw_question() or not session.busy():
            return
        session.cancelling = acted = asyncio.get_running_loop().create_future()
        try:
            await self._pass_on(entry)
        finally:
            session.cancelling = None
            acted.set_result(None)

    async def _pass_on(self, entry: _Entry) -> None:
        session = entry.session
        try:
            session.trail.append("gateway.statement", {"res": session.resource.name, "op": "cancel"})
            await self._log.sync()
            if session.busy():
                await entry.cancel()
        except (LogFailure, ResourceError):
            return  # The upstream was not asked, so the operation goes on, as after any cancel that comes too late.
        except TimeoutError:
            if session.kill is not None:
                session.kill("resource_failed", LOST)
