"""A world in which the shop is open to those who ask, the vault needs somebody's yes, and its glass can be broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.model.approval import Held
from tidegate.model.identity import Identity
from tidegate.model.proof import Proof
from tidegate.store.rows import GrantRow
from unit.web.world import World

POLICY = """
rules:
  - {id: shop, on: {resources: [shop]}, may: [connect], then: allow, for: 1h}
  - id: vault
    who: {groups: [agents, staff]}
    on: {resources: [crm]}
    may: [connect]
    then: hold
    approvers: {groups: [approvers], count: 1}
    within: 15m
    for: 2h
    because: "It is the vault."
  - {id: glass, who: {groups: [staff]}, on: {resources: [crm]}, may: [break-glass], then: allow, for: 30m}
  - {id: reads, may: [read], then: allow}
"""

YES = Proof("totp", "c_1")


class Granting(World):
    """alice of the staff with claude-code, bob and carol who approve, eve who is nobody."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        (directory / "policy.yaml").write_text(POLICY)

    def staff(self) -> None:
        """Everybody comes in."""
        super().staff()
        self.login("carol", "approvers")

    def who(self, *names: str) -> Identity:
        """A chain."""
        return self.call(lambda: self.access.chain(*names))

    def ask(self, *names: str, resource: str = "crm", seconds: int = 600, reason: str = "OPS-1") -> GrantRow:
        """Ask for a grant as a chain."""
        identity = self.who(*names)
        return self.call(lambda: self.grants.request(identity, resource, seconds, reason, by=identity.actor.subject))

    def answer(self, row: GrantRow, by: str = "bob", *, yes: bool = True) -> Held:
        """Say yes or no, and wait until it has taken effect."""
        identity = self.who(by)

        async def say() -> Held:
            if yes:
                held = await self.approvals.approve(row.approval, identity, YES)
            else:
                held = await self.approvals.refuse(row.approval, identity, "not today", YES)
            await self.grants.wait(row, 5)
            return held

        return self.call(say)

    def row(self, id: str) -> GrantRow:
        """How a grant stands in the store."""
        found = self.store.grant(id)
        assert found is not None
        return found

    def take(self, *names: str, resource: str = "crm") -> Any:
        """First use."""
        identity = self.who(*names)
        return self.call(lambda: self.grants.take(identity, resource))
