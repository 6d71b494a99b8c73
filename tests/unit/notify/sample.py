"""A question with everything in it, and a notice, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from tidegate.model.approval import OPERATION, Answer, Held, Question
from tidegate.model.identity import Hop, Identity, Kind
from tidegate.model.notice import Notice
from tidegate.model.verdict import Approvers

T = TypeVar("T")

NOW = 1_790_000_000_000_000

ALICE = Hop("u_alice", "alice", Kind.USER, ("staff",))
CLAUDE = Hop("a_claude", "claude-code", Kind.AGENT, owner="u_alice")

QUESTION = Question(
    matter=OPERATION,
    requester=Identity((ALICE, CLAUDE)),
    resource="shop",
    statement="UPDATE customers SET mail = 'bob@example.org' WHERE id = 7",
    parameters="$1 = 'parameter-secret'",
    reason="reason-secret",
    rule="bulk",
    because="It changes every row.",
    approvers=(Approvers(("dba",), 1, "bulk", escalate=("managers",), after=60),),
    within=900,
    bound="{}",
    digest="d" * 64,
    bundle="b" * 64,
    facts=({"command": "update", "writes": ["public.customers"], "reads": ["public.customers"]},),
)


def held(**changes: Any) -> Held:
    """A question on its way."""
    return replace(Held("ap_0123", QUESTION, NOW, NOW + 900_000_000), **changes)


def yes(name: str = "bob", method: str = "passkey") -> Answer:
    """Somebody's yes."""
    return Answer(f"u_{name}", name, ("dba",), NOW, method)


def notice(change: str = "waiting-0", **changes: Any) -> Notice:
    """A notice about the question."""
    plain = Notice(
        id=f"ap_0123.{change}",
        about="ap_0123",
        event="approval.asked",
        title="alice -> claude-code asks to run a statement on shop",
        line="It waits for an answer.",
        moment=NOW,
        facts=(("Who", "alice -> claude-code"), ("Resource", "shop")),
        statement="UPDATE customers SET mail = ? WHERE id = ?",
        reason="reason-secret",
        link="https://gateway.example.org/approvals/ap_0123",
        open=True,
        direct=True,
        digest="d" * 64,
    )
    return replace(plain, **changes)


def always(value: str) -> Callable[[], Awaitable[str]]:
    """Reads this secret."""

    async def read() -> str:
        return value

    return read


def run(story: Awaitable[T]) -> T:
    """Run a story on a loop of its own."""

    async def main() -> T:
        return await story

    return asyncio.run(main())
