"""A register over a real log and a real store, for tests; on the same path a story goes on where the last one ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage

from tidegate.audit.log import Log
from tidegate.audit.seal import Recipients
from tidegate.clock import SystemClock
from tidegate.enforcement.kept import restore, row_of
from tidegate.enforcement.register import Register
from tidegate.enforcement.revocations import Revocations
from tidegate.identity.issuer import Issuer
from tidegate.model.approval import Held
from tidegate.store.box import Box
from tidegate.store.rows import Store


@dataclass
class Desk:
    """A register over a real log and a real store."""

    log: Log
    store: Store
    register: Register
    revocations: Revocations
    changes: list[Held]
    box: Box = Box(bytes(32))  # noqa: RUF009 - the same for all

    def leaves(self) -> list[dict[str, Any]]:
        """All leaves, oldest first."""
        return list(self.log.recent(0))[::-1]

    def kinds(self) -> list[str]:
        """What happened to approvals."""
        return [str(leaf["k"])[9:] for leaf in self.leaves() if str(leaf["k"]).startswith("approval.")]


def run(path: Path, story: Callable[[Desk], Awaitable[None]]) -> None:
    """Run a story at a desk; on the same path it goes on where the last one ended."""

    async def main() -> None:
        clock = SystemClock()
        auditor = str(pyrage.x25519.Identity.generate().to_public())
        log = Log.open(
            path, organisation="example.org", gateway="gw1", clock=clock, recipients=Recipients((auditor,), (auditor,)),
            segment=2**20,
        )  # fmt: skip
        store = Store(path / "store.sqlite", Issuer(path / "keys", "example.org", clock))
        revocations = Revocations(())
        register = Register(log, clock, revocations)
        changes: list[Held] = []
        desk = Desk(log, store, register, revocations, changes)
        log.start()
        leaves = list(log.recent(0))[::-1]
        restore(register, store, desk.box, log, clock, leaves)

        def keep(held: Held, leaf: int) -> None:
            changes.append(held)
            store.put_approval(row_of(held, leaf, desk.box))

        register.listen(keep)
        try:
            await story(desk)
        finally:
            await log.stop("stopped")
            store.close()

    asyncio.run(main())
