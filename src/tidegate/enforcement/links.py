"""Whose tokens are whose: bindings of agents and services to workloads' own tokens, made and ended.

Who binds decides whom an issuer's tokens stand for, so it needs the ability to operate. Ending a binding is open to the
owner too. The fact is in the log and durable first; an ended binding stays ended whatever the store says, and the
sessions that came by it end at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import Refused
from tidegate.identity.bindings import read, written
from tidegate.identity.directory import Directory, Entry
from tidegate.identity.workloads import provider
from tidegate.model.identity import Identity, Kind
from tidegate.store.rows import LinkRow, Store

from .revocations import Revocations
from .sessions import LiveSessions

MOST = 64
"""Bindings of one identity."""


class Links:
    """Event loop only. ``issuers`` are the names in tidegate.yaml; ``operates`` raises Refused for who may not."""

    def __init__(
        self,
        log: Log,
        store: Store,
        directory: Directory,
        clock: Clock,
        *,
        issuers: Container[str],
        revocations: Revocations,
        sessions: LiveSessions,
        operates: Callable[[Identity, str], None],
    ) -> None:
        self._log = log
        self._store = store
        self._directory = directory
        self._clock = clock
        self._issuers = issuers
        self._revocations = revocations
        self._sessions = sessions
        self._operates = operates
        self._binding = asyncio.Lock()

    def check(self, by: Identity, issuer: str, conditions: Mapping[str, str]) -> str:
        """The conditions as they are kept, if ``by`` may bind somebody to such tokens. Raises Refused."""
        self._operates(by, "bind workloads' tokens")
        if issuer not in self._issuers:
            raise Refused(
                "there is no such issuer", hint="Names are under `workloads` in tidegate.yaml.", code="binding.issuer"
            )
        return written(conditions)

    async def bind(self, by: Identity, name: str, issuer: str, conditions: Mapping[str, str]) -> LinkRow:
        """Tokens of ``issuer`` that meet these conditions are this agent's or service's. Raises Refused, AgentError."""
        kept = self.check(by, issuer, conditions)
        entry = await asyncio.to_thread(self._directory.named, name)
        if entry.hop.kind is Kind.USER or entry.disabled:
            raise Refused("there is no such agent or service", hint="See: tidegate agents ls", code="identity.unknown")
        async with self._binding:
            await asyncio.to_thread(self._room, entry, issuer, kept)
            return await self._link(by, entry, issuer, kept)

    async def unbind(self, by: Identity, id: str) -> LinkRow:
        """End a binding and what came by it: of one's own agents, or of any with the ability to operate.

        Raises Refused.
        """
        row = await asyncio.to_thread(self._store.link, id)
        entry = await asyncio.to_thread(self._owned, row)
        if entry is None or entry.owner != by.person.subject:
            self._operates(by, "end bindings of others' agents")
        if row is None or entry is None:
            raise Refused("there is no such binding", hint="See: tidegate agents show NAME", code="binding.unknown")
        self._log.append("cred.revoked", {"cred": id, "sub": row.subject, "by": by.person.subject})
        self._revocations.add(id)
        await self._sessions.end_of_token(id)
        await self._log.sync()
        await asyncio.to_thread(self._store.drop_link, id)
        return row

    async def of(self, subject: str) -> list[LinkRow]:
        """The bindings of somebody that are in force."""
        rows = await asyncio.to_thread(self._store.links, subject=subject)
        return [row for row in rows if row.provider.startswith(_PREFIX) and row.id not in self._revocations]

    def _owned(self, row: LinkRow | None) -> Entry | None:
        if row is None or not row.provider.startswith(_PREFIX):
            return None
        return self._store.identity(row.subject)

    def _room(self, entry: Entry, issuer: str, kept: str) -> None:
        """Refuse what would bind the same tokens to two, or too much to one."""
        same = [row for row in self._store.links(provider=provider(issuer)) if row.conditions == kept]
        if any(row.id not in self._revocations for row in same):
            raise Refused("these tokens are bound already", hint="See: tidegate agents ls", code="binding.taken")
        if len(self._store.links(subject=entry.hop.subject)) >= MOST:
            raise Refused(f"an identity has at most {MOST} bindings", hint="End one.", code="binding.full")

    async def _link(self, by: Identity, entry: Entry, issuer: str, kept: str) -> LinkRow:
        id, sub = self._clock.name("li"), read(kept).get("sub", "*")
        fields = {"sub": entry.hop.subject, "link": id, "pv": provider(issuer), "by": by.person.subject}
        private = {"stmt": kept.encode(), "who": entry.hop.name.encode()}
        leaf = self._log.append("identity.linked", dict(fields), private=private)
        await self._log.sync()
        row = LinkRow(id, provider(issuer), "" if "*" in sub else sub, entry.hop.subject, kept, leaf)
        await asyncio.to_thread(self._store.put_link, row)
        return row


_PREFIX = provider("")
