"""What was revoked, rebuilt from the audit log at start: deleting a row of the store brings nothing back."""

from __future__ import annotations

from tidegate.audit.log import Log

LONGEST_GRANT = 24 * 3600 * 1_000_000
"""No grant lives longer than this (microseconds)."""

NAMED_BY = {"token.revoked": "jti", "grant.revoked": "gid", "identity.disabled": "sub"}
"""Leaf kind -> the field that names what no longer opens anything."""


class Revocations:
    """Ids of revoked tokens and grants, and subjects of disabled identities."""

    def __init__(self, log: Log) -> None:
        self._ids: set[str] = set()
        for leaf in log.recent(0):
            name = NAMED_BY.get(str(leaf.get("k")))
            if name is not None:
                self.add(str(leaf.get(name)))

    def add(self, id: str) -> None:
        """From now on nothing opens with it."""
        self._ids.add(id)

    def __contains__(self, id: object) -> bool:
        return bool(id) and id in self._ids
