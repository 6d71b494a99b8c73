"""Accounts that end: made at Vault for a reference, shared by sessions, renewed while these last, revoked after.

Invariants: a new session gets an account only after Vault has just made or renewed it, so that a Vault that is down or
has revoked it lets nobody in; that an account was taken into use or has ended is a leaf; whoever uses an account hears
of its end, at the latest when it would end by itself. What an agent that gives up has set going is finished and shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Set

import structlog

from tidegate.errors import ResourceError, TidegateError
from tidegate.model.event import Json
from tidegate.model.secret import Credential, Reference

from .exchange import DOWN
from .vault import FAREWELL, Account, Vault

logger = structlog.get_logger("tidegate")

TICK = 1.0
LINGER = 10.0
"""Seconds between two looks; that an account is kept for the next session."""

Record = Callable[[str, Mapping[str, Json]], object]
"""Adds a leaf: kind and fields."""


class Use:
    """A credential for as long as somebody needs it. ``over`` is called once if it ends before ``release``."""

    def __init__(self, credential: Credential, lease: Lease | None = None) -> None:
        self.credential = credential
        self.lease = lease
        self.over: Callable[[], None] | None = None
        if lease is not None:
            lease.uses.append(self)

    @property
    def ended(self) -> bool:
        """Whether it has been released, or the account has ended."""
        return self.lease is not None and self not in self.lease.uses

    def release(self) -> None:
        """It is not needed any more; may be said twice."""
        if self.lease is not None and self in self.lease.uses:
            self.lease.uses.remove(self)
            self.lease.idle = _now()


class Lease:
    """An account in use. ``spent``: nobody new gets it. ``idle`` since when nobody used it."""

    def __init__(self, reference: str, account: Account, users: Set[str]) -> None:
        self.reference = reference
        self.account = account
        self.credential = Credential(account.user, account.password, users)
        self.uses: list[Use] = []
        self.idle = _now()
        self.spent = False

    @property
    def fields(self) -> dict[str, Json]:
        """What leaves say of it."""
        return {"secret": self.reference, "user": self.account.user, "lease": self.account.id}

    def fit(self) -> bool:
        """Whether somebody new may have it."""
        now = _now()
        life, token = self.account.life, self.account.token.life
        return not self.spent and life.renewable and not life.ageing(now) and not token.ageing(now)

    def unused(self) -> bool:
        """Whether it is time to end it."""
        return not self.uses and (not self.fit() or _now() - self.idle > LINGER)


class Leases:
    """Every leased account of one process; event loop only."""

    def __init__(self, vault: Vault, record: Record, durable: Callable[[], Awaitable[None]]) -> None:
        self._vault = vault
        self._record = record
        self._durable = durable
        self._open: list[Lease] = []
        self._asking: dict[str, asyncio.Task[Lease]] = {}
        self._users: dict[str, set[str]] = {}
        self._down = False

    async def take(self, text: str, reference: Reference, refused: Credential | None = None) -> Use:
        """An account for ``reference``, written ``text``, but not ``refused``. Raises ResourceError, ConfigError."""
        for lease in self._open:
            lease.spent = lease.spent or lease.credential == refused
        asking = self._asking.get(text)
        if asking is None:
            asking = self._asking[text] = asyncio.get_running_loop().create_task(self._proven(text, reference))
            asking.add_done_callback(lambda done: self._answered(text, done))
        lease = await asyncio.shield(asking)
        if lease not in self._open:
            raise ResourceError("Vault ended the account at once.", hint="Connect again.", code=DOWN)
        return Use(lease.credential, lease)

    async def run(self) -> None:
        """Renew what is used, revoke what is not, end what is over; until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            try:
                await self._look()
                self._down = False
            except TidegateError as error:
                if not self._down:
                    logger.error("vault.failed", code=error.code, message=error.message)
                self._down = True

    async def close(self) -> None:
        """Revoke everything; what Vault does not hear ends by itself."""
        try:
            async with asyncio.timeout(FAREWELL):
                for asking in list(self._asking.values()):
                    await asyncio.wait([asking])
                for lease in list(self._open):
                    await self._vault.revoke(lease.account)
                    self._end(lease, "stopped")
        except (TidegateError, TimeoutError):
            logger.warning("vault.farewell", leases=len(self._open))
        self._open.clear()

    def _answered(self, text: str, done: asyncio.Task[Lease]) -> None:
        self._asking.pop(text, None)
        if not done.cancelled():
            done.exception()  # seen by whoever still waits

    async def _proven(self, text: str, reference: Reference) -> Lease:
        """The newest account if Vault renews it now, else a fresh one."""
        newest = next((lease for lease in reversed(self._open) if lease.reference == text and lease.fit()), None)
        if newest is not None:
            newest.idle = _now()
            held = await self._vault.renew(newest.account)
            if held and newest.fit():
                newest.idle = _now()
                return newest
            if not held:
                self._end(newest, "revoked")
        account = await self._vault.account(reference)
        users = self._users.setdefault(text, set())
        lease = Lease(text, account, users)
        users.add(account.user)
        self._open.append(lease)
        self._watch(lease)
        self._record("account.leased", lease.fields)
        await self._durable()
        return lease

    def _watch(self, lease: Lease) -> None:
        """End it when it is over, whatever Vault's answers are waiting for."""
        if lease in self._open:
            if _now() >= lease.account.ends:
                self._end(lease, "expired")
            else:
                asyncio.get_running_loop().call_at(min(lease.account.ends, _now() + TICK), self._watch, lease)

    async def _look(self) -> None:
        await self._vault.upkeep()
        for lease in list(self._open):
            try:
                await self._care(lease)
            except ResourceError as error:
                if error.code == DOWN:
                    raise
                logger.error("vault.denied", secret=lease.reference, message=error.message)
                self._end(lease, "left")

    async def _care(self, lease: Lease) -> None:
        if lease.unused():
            lease.spent = True
            await self._vault.revoke(lease.account)
            self._end(lease, "unused")
        elif lease.account.life.due(_now()) and not await self._vault.renew(lease.account):
            self._end(lease, "revoked")

    def _end(self, lease: Lease, why: str) -> None:
        if lease not in self._open:
            return
        self._open.remove(lease)
        lease.spent = True
        lease.account.token.leases -= 1
        users = self._users[lease.reference]
        users.discard(lease.account.user)
        uses, lease.uses = lease.uses, []
        for use in uses:
            if use.over is not None:
                use.over()
        self._record("account.returned", {**lease.fields, "why": why})


def _now() -> float:
    return asyncio.get_running_loop().time()
