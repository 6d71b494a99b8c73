"""Answers that are given by pressing a button in a chat.

A button is pressed by whom the chat says, and an administrator has said which person that is (a link). It is no fresh
proof of the person, so it counts only for a question that one plain yes answers, and the log says by which method. All
that holds for other answers holds for these. Whatever is wrong, who pressed it is told so, and nothing happens.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Container

import structlog

from tidegate.audit.entry import decode
from tidegate.errors import AgentError, Refused, TidegateError
from tidegate.identity.directory import Directory
from tidegate.model.approval import WAITING, Held
from tidegate.model.identity import Identity
from tidegate.model.proof import Proof
from tidegate.notify.clicks import Click, Clicks
from tidegate.notify.slack_blocks import APPROVE
from tidegate.notify.wording import direct
from tidegate.store.rows import LinkRow

from .answers import may_answer
from .register import Questions

METHOD = "slack"
"""What leaves say of such an answer."""

LinkOf = Callable[[str, str], Awaitable[LinkRow | None]]
"""The link by which a provider's subject is somebody here (``Accounts.link_of``)."""

Whisper = Callable[[str, str, str], Awaitable[None]]
"""Says something in a channel that only one user sees. Raises ResourceError, ConfigError."""

logger = structlog.get_logger("tidegate")


class Buttons:
    """Event loop only. ``failures`` counts what was not signed; ``leaf`` reads one of the gateway's own log (blocks);
    ``address`` is where the pages are."""

    def __init__(
        self,
        clicks: Clicks,
        approvals: Questions,
        directory: Directory,
        whisper: Whisper,
        *,
        link_of: LinkOf,
        leaf: Callable[[int], bytes],
        revocations: Container[str],
        failures: Callable[[str, str], None],
        address: str,
    ) -> None:
        self._clicks = clicks
        self._approvals = approvals
        self._directory = directory
        self._whisper = whisper
        self._link_of = link_of
        self._leaf = leaf
        self._revocations = revocations
        self._failures = failures
        self._address = address

    async def read(self, body: bytes, time: str, signature: str, peer: str) -> Click | None:
        """See ``Clicks.read``; what does not hold is an event."""
        try:
            return await self._clicks.read(body, time, signature)
        except AgentError as error:
            self._failures(error.code, peer)
            raise

    async def answer(self, click: Click) -> None:
        """Answer, and say to who pressed what became of it."""
        try:
            words = f"It is {(await self.press(click)).state}."
        except TidegateError as error:
            words = f"Nothing has happened: {error.message}. {error.hint}"
        try:
            await self._whisper(click.channel, click.user, words)
        except TidegateError as error:
            logger.warning("notice.unsaid", channel=click.channel, code=error.code)

    async def press(self, click: Click) -> Held:
        """Answer as the person who pressed it. Raises Refused, AgentError, LogFailure."""
        by, linker = await self._person(click)
        held = await self._approvals.find(click.approval)
        if held is None or held.state != WAITING or held.question.digest != click.digest:
            raise Refused("no such request is waiting any more", code="approval.unknown")
        may_answer(held, by)
        if linker & held.question.requester.involved:
            raise Refused(
                "who has a part in the request has said that you are this person",
                hint="Answer on the gateway's page, or let somebody else link your account.",
                code="approval.self",
            )
        if not direct(held.question):
            raise Refused(
                "this needs an answer with a fresh proof",
                hint=f"Answer at {self._address}/approvals/{held.id}",
                code="approval.proof",
            )
        if click.verb != APPROVE:
            return await self._approvals.refuse(held.id, by, "", Proof(METHOD))
        # What stood in the chat is not what the pages show; that it was asked about this digest there, is a fact.
        shown = hashlib.sha256(f"{METHOD} {click.channel} {click.digest}".encode()).hexdigest()
        await self._approvals.shown(held.id, by, shown)
        return await self._approvals.approve(held.id, by, Proof(METHOD))

    async def _person(self, click: Click) -> tuple[Identity, frozenset[str]]:
        """Who pressed it, and every account of who says so: nobody makes themselves an approver's account in a chat."""
        link = await self._link_of(f"{METHOD}:{click.channel}", click.user)
        if link is None or link.subject in self._revocations:
            raise Refused(
                "nobody here is known by your account in Slack",
                hint=f"Ask for: tidegate people link NAME --provider {METHOD}:{click.channel} --subject {click.user}",
                code="link.unknown",
            )
        said = decode(await asyncio.to_thread(self._leaf, link.leaf))
        linker = await asyncio.to_thread(self._directory.resolve, (str(said["by"]),))
        return await asyncio.to_thread(self._directory.resolve, (link.subject,)), linker.involved
