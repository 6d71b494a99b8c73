"""What both directions of one HTTP connection know of the request under way. There is one at a time."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.model.operation import Operation


class Exchange:
    """A request that was forwarded and its answer.

    ``close``: the agent's connection ends with the answer. ``sent``: the request's body is whole upstream. ``begun``:
    the answer's head is on its way to the agent. ``stream``: the answer has no end of its own. ``upgrade`` is what the
    agent's handshake must be answered with when it asked for a WebSocket, ``offered`` the protocols inside of it.
    ``asynchronous``: the agent would rather come again than wait for people. ``field`` gives the path of the field that
    stands at a path of the answer.
    """

    __slots__ = (
        "asynchronous", "begun", "close", "field", "method", "minor", "offered", "operation", "sent", "stream",
        "target", "template", "upgrade",
    )  # fmt: skip

    def __init__(
        self, operation: Operation, method: bytes, target: bytes, template: str, *, minor: int, close: bool
    ) -> None:
        self.operation = operation
        self.method = method
        self.target = target
        self.template = template
        self.minor = minor
        self.close = close
        self.sent = False
        self.begun = False
        self.stream = False
        self.upgrade = b""
        self.offered: frozenset[bytes] = frozenset()
        self.asynchronous = False
        self.field: Callable[[str], str] = lambda path: path


class Talk:
    """``exchange`` is None between requests. ``spent``: the upstream's connection takes no further request.

    ``stale``: the upstream did not take the credential, and another may be in use by now. ``over``: nothing more is
    said to the agent. ``tunnel``: both sides speak WebSocket now.
    """

    __slots__ = ("exchange", "over", "spent", "stale", "tunnel")

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.spent = False
        self.stale = False
        self.over = False
        self.tunnel = False
