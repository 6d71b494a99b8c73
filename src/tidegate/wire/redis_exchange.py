"""What the two directions of a session know of each other: the replies that are due, and the state of the connection.

The upstream answers strictly in order, so one queue says which command a reply belongs to. What the gateway answers
itself behind earlier commands waits in the same queue; what it put in is swallowed there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from tidegate.model.operation import Facts, Operation


class Kind(Protocol):
    """See ``operations.redis_replies.Kind``: what a reply looks like, by name."""

    @property
    def name(self) -> str:
        """Such as VALUE, PAIRS, NONE."""


class Plan(Protocol):
    """See ``operations.redis_replies.Plan``: where values and the names of fields are in a reply."""

    @property
    def kind(self) -> Kind:
        """What it looks like."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The objects that the command names, in order."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it names, in order."""

    @property
    def cursor(self) -> bool:
        """Whether the second item is what the plan speaks of."""


class Understood(Protocol):
    """See ``operations.redis.Understood``: one command."""

    @property
    def facts(self) -> Facts:
        """What policy sees."""

    @property
    def reply(self) -> Plan:
        """How its reply is read."""

    @property
    def name(self) -> str:
        """In lower case, with its subcommand, such as ``client list``."""


Understand = Callable[[Sequence[bytes], int], Understood]
"""Arguments and number of the database to what the command is; never raises."""

REPLY: Final = 1
OWN: Final = 2
SWALLOW: Final = 3
EXEC: Final = 4
CONFIRM: Final = 5

CHANNELS: Final = {
    b"subscribe": 0, b"unsubscribe": 0, b"psubscribe": 1, b"punsubscribe": 1, b"ssubscribe": 2, b"sunsubscribe": 2,
}  # fmt: skip
"""Which of the three sets of subscriptions a command, and the word that confirms it, is about."""


class Expected:
    """One reply that is due.

    REPLY: as the upstream gives it. OWN: ``answer`` is the gateway's, and the upstream has none. SWALLOW: ``answer`` in
    place of the upstream's. EXEC: an array of the replies in ``inner``. CONFIRM: ``count`` confirmations of
    subscriptions, -1 while it is not known how many. ``ends``: with it a request is answered.
    """

    __slots__ = ("answer", "count", "ends", "inner", "kind", "name", "number", "operation", "plan")

    def __init__(
        self,
        kind: int,
        operation: Operation | None = None,
        plan: Plan | None = None,
        name: str = "",
        answer: bytes = b"",
        *,
        ends: bool = True,
    ) -> None:
        self.kind: Final = kind
        self.operation: Final = operation
        self.plan: Final = plan
        self.name: Final = name
        self.answer: Final = answer
        self.ends: Final = ends
        self.count = -1
        self.number = -1
        self.inner: list[Expected] = []


class Exchange:
    """State that both directions share.

    ``pending`` requests are not answered yet. ``database`` and ``protocol`` (2 or 3) are what the upstream has said yes
    to. ``channels`` are the three sets of subscriptions.
    """

    def __init__(self, database: int, protocol: int) -> None:
        self.due: deque[Expected] = deque()
        self.pending = 0
        self.database = database
        self.protocol = protocol
        self.channels: tuple[set[bytes], set[bytes], set[bytes]] = (set(), set(), set())

    @property
    def subscribed(self) -> bool:
        """Whether messages may come."""
        return any(self.channels)

    def expect(self, replies: Sequence[Expected]) -> None:
        """A request was forwarded: these replies are due, in this order."""
        self.due.extend(replies)
        for reply in replies:
            self.pending += reply.ends

    def answered(self) -> Expected:
        """The reply that was due has come."""
        reply = self.due.popleft()
        self.pending -= reply.ends
        return reply

    def nest(self, inner: Sequence[Expected]) -> None:
        """The reply that has just come was the beginning of these."""
        self.due.extendleft(reversed(inner))
        self.pending += sum(reply.ends for reply in inner)
