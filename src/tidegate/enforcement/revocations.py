"""What was revoked, rebuilt from the audit log at start: deleting a row of the store brings nothing back."""

from __future__ import annotations

from ..audit.log import Log
from ..clock import Clock

LONGEST_GRANT = 24 * 3600 * 1_000_000
"""No token or grant lives longer than this (microseconds), so older revocations no longer matter."""


class Revocations:
    """Ids of revoked tokens and grants, and subjects of disabled identities."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._ids: set[str] = set()
        for leaf in log.recent(clock.now() - LONGEST_GRANT - 3600 * 1_000_000):
            if leaf.get("k") == "token.revoked":
                self.add(str(leaf.get("jti")))
            elif leaf.get("k") == "grant.revoked":
                self.add(str(leaf.get("gid")))

    def add(self, id: str) -> None:
        """From now on nothing opens with it."""
        self._ids.add(id)

    def __contains__(self, id: object) -> bool:
        return bool(id) and id in self._ids
