"""People's credentials: rows of the store, of which only those count that the audit log knows.

Which credentials exist is rebuilt from the log at start, so a row that was put back, forged or taken out by hand opens
nothing: what the log does not know is ignored, and a credential that the log knows and the store has lost stops its
owner's proofs until an administrator lets them start over. Secrets are sealed. Enrolling is durable before it counts,
revoking counts at once. Event loop only; what blocks runs in threads.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import IntegrityError
from tidegate.model.event import Json
from tidegate.store.box import Box
from tidegate.store.rows import CredentialRow, Store

PASSWORD, TOTP, PASSKEY, SSH = "password", "totp", "passkey", "ssh"
"""Methods that have a credential."""

ENROLLING = frozenset({"cred.enrolled", "cred.revoked"})
"""Kinds of leaves that say which credentials there are."""


class Enrolled:
    """``leaves`` are those of the gateway's own log, oldest first."""

    def __init__(self, log: Log, store: Store, box: Box, clock: Clock, leaves: Iterable[Mapping[str, Json]]) -> None:
        self._log = log
        self._store = store
        self._box = box
        self._clock = clock
        self._known: dict[str, set[str]] = {}
        self._counters: dict[str, int] = {}
        self._used: set[str] = set()
        for leaf in leaves:
            if leaf.get("k") not in ENROLLING or "cred" not in leaf:
                continue
            self._used.add(str(leaf.get("code", "")))
            own = self._known.setdefault(str(leaf["sub"]), set())
            (own.add if leaf["k"] == "cred.enrolled" else own.discard)(str(leaf["cred"]))

    async def holders(self, public: bytes) -> list[str]:
        """The subjects that have enrolled this public key."""
        return await asyncio.to_thread(self._store.holders, public)

    async def of(self, subject: str) -> list[CredentialRow]:
        """A person's credentials, oldest first. Raises IntegrityError when one is forged or missing."""
        rows = await asyncio.to_thread(self._store.credentials, subject)
        known = self._known.get(subject, set())
        found = [row for row in rows if row.id in known and not row.revoked]
        if len(found) != len(known):
            raise IntegrityError(
                "a credential that the audit log knows is not in the store",
                hint="Somebody changed the store's file. An administrator lets this person start over: "
                "tidegate people code NAME",
                code="store.forged",
            )
        return [replace(row, counter=max(row.counter, self._counters.get(row.id, 0))) for row in found]

    def secret(self, row: CredentialRow) -> bytes:
        """What a credential keeps secret. Raises IntegrityError."""
        return self._box.open(row.sealed, _about(row.method, row.id))

    async def enrol(
        self,
        subject: str,
        method: str,
        *,
        label: str,
        public: bytes = b"",
        shown: bytes = b"",
        secret: bytes = b"",
        counter: int = 0,
        by: str,
        how: str,
        code: str = "",
    ) -> CredentialRow:
        """Add a credential. ``shown`` is the public key in the leaf; ``how`` is what ``by`` proved themselves with.

        ``code`` is the mark of a one-time code that is used up by it (``codes.mark``).
        """
        id = self._clock.name("c")
        sealed = self._box.seal(secret, _about(method, id)) if secret else b""
        row = CredentialRow(id, subject, method, label, public, sealed, counter, False, 0)
        await asyncio.to_thread(self._store.put_credential, row)  # counts for nothing before its leaf
        fields: dict[str, Json] = {"cred": id, "sub": subject, "method": method, "by": by, "how": how}
        if shown:
            fields["pub"] = base64.b64encode(shown).decode()
        if code:
            fields["code"] = code
            self._used.add(code)
        leaf = self._log.append("cred.enrolled", fields, private={"who": label.encode()})
        await self._log.sync()
        self._known.setdefault(subject, set()).add(id)
        row = replace(row, leaf=leaf)
        await asyncio.to_thread(self._store.put_credential, row)
        return row

    async def revoke(self, subject: str, ids: Iterable[str], *, by: str) -> None:
        """End these credentials of a person; those that are not theirs are left alone."""
        leaves: dict[str, int] = {}
        for id in ids:
            if id in self._known.get(subject, ()):
                leaves[id] = self._log.append("cred.revoked", {"cred": id, "sub": subject, "by": by})
                self._known[subject].discard(id)
        await self._log.sync()
        rows = await asyncio.to_thread(self._store.credentials, subject)
        for row in rows:
            if row.id in leaves:
                ended = replace(row, sealed=b"", revoked=True, leaf=leaves[row.id])
                await asyncio.to_thread(self._store.put_credential, ended)

    def used(self, code: str) -> bool:
        """Whether the log knows that a one-time code was used, by its mark; a row that was put back changes nothing."""
        return code in self._used

    def ids(self, subject: str) -> frozenset[str]:
        """The ids of a person's credentials, as the log has them."""
        return frozenset(self._known.get(subject, ()))

    async def moved(self, row: CredentialRow, to: int) -> bool:
        """Move a counter on from what ``row`` says; False when that use was not the first."""
        if to <= max(row.counter, self._counters.get(row.id, 0)):
            return False
        self._counters[row.id] = to
        current = await asyncio.to_thread(self._store.credentials, row.subject)
        kept = next((each for each in current if each.id == row.id), None)
        return kept is not None and await asyncio.to_thread(self._store.move_counter, kept, to)

    async def resealed(self, row: CredentialRow, secret: bytes) -> None:
        """Keep a credential's secret in another form, such as a hash with other parameters."""
        sealed = self._box.seal(secret, _about(row.method, row.id))
        await asyncio.to_thread(self._store.put_credential, replace(row, sealed=sealed))


def _about(method: str, id: str) -> str:
    return f"{method}:{id}"
