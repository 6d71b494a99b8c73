"""What a channel is to the outbox: it takes a notice, or says why it could not be delivered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

from tidegate.errors import ResourceError
from tidegate.model.notice import Notice

Secret: TypeAlias = Callable[[], Awaitable[str]]
"""Reads a secret anew each time it is used, so that a rotation counts at once. Raises ConfigError, ResourceError."""

Thread: TypeAlias = Mapping[str, str]
"""What a channel must know to add to what it said before about the same thing; empty at first."""


class Undelivered(ResourceError):
    """The other side did not take it. ``why`` is a few plain words without anything of the message or a secret.

    ``final`` says that it never will; ``after`` are the seconds that it wants to be left alone.
    """

    code = "notice.undelivered"

    def __init__(self, why: str, *, final: bool = False, after: float = 0) -> None:
        super().__init__(f"a notice was not taken: {why}", hint="See: tidegate notices ls")
        self.why = why
        self.final = final
        self.after = after


class Channel(Protocol):
    """One way to tell people. ``quiet`` are events that it leaves out."""

    quiet: frozenset[str]

    async def send(self, notice: Notice, thread: Thread) -> Thread:
        """Deliver; the thread for what follows about the same. Raises Undelivered, ConfigError, ResourceError."""
