"""The index of sessions and approvals in the store: for lists and searches, never for authority or evidence.

Changes are queued and written by one task in a thread, so that no data path waits for the store. When the queue is
full the oldest pending change of the same row is what counts, since every change is a whole row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from tidegate.journal import surprise
from tidegate.model.approval import Held
from tidegate.store.box import Box
from tidegate.store.rows import SessionRow, Store

from .kept import row_of
from .sessions import SessionView

logger = structlog.get_logger("tidegate.store")


class Chronicle:
    """Event loop only, but for the writes."""

    def __init__(self, store: Store, box: Box) -> None:
        self._store = store
        self._box = box
        self._pending: dict[str, Callable[[], None]] = {}
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def session(self, view: SessionView) -> None:
        """A session began, moved on or ended."""
        self._add(f"session {view.sid}", lambda: self._store.put_session(_session_row(view)))

    def approval(self, held: Held, leaf: int) -> None:
        """A question was asked or answered, as ``leaf`` says."""
        self._add(f"approval {held.id}", lambda: self._store.put_approval(row_of(held, leaf, self._box)))

    async def run(self) -> None:
        """Write what is queued, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            batch, self._pending = self._pending, {}
            try:
                await asyncio.to_thread(_write_all, list(batch.values()))
            except Exception as error:  # the index is no evidence; losing an entry must not end the gateway
                surprise("index.failed", error, rows=len(batch))
            if not self._pending:
                self._idle.set()

    async def drained(self) -> None:
        """Everything queued is written, or five seconds have passed."""
        try:
            async with asyncio.timeout(5):
                await self._idle.wait()
        except TimeoutError:
            logger.error("index.late")

    def _add(self, row: str, write: Callable[[], None]) -> None:
        self._pending[row] = write
        self._idle.clear()
        self._changed.set()


def _write_all(writes: list[Callable[[], None]]) -> None:
    for write in writes:
        write()


def _session_row(view: SessionView) -> SessionRow:
    return SessionRow(
        sid=view.sid,
        subjects=tuple(hop.subject for hop in view.identity.chain),
        title=view.identity.title,
        resource=view.resource,
        started=view.started,
        ended=view.ended or None,
        reason=view.reason,
        operations=view.operations,
        refused=view.refused,
        held=view.held,
        masked=view.masked,
    )
