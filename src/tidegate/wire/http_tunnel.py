"""What a WebSocket's server says, as the agent may see it: searched for the credential, masked where it is JSON.

A message without masks passes piece by piece. One that may have masks is held until it is whole, since it gets another
length; a binary one passes only where binary may.
"""

from __future__ import annotations

from collections.abc import Callable

from tidegate.errors import ResourceError
from tidegate.model.operation import Results
from tidegate.model.resource import Field

from .body import Body
from .http_talk import Exchange
from .websocket import CLOSE, CONTINUATION, TEXT, Frames, Piece, frame

HELD = 1024 * 1024
"""Bytes of a message that is held."""


class Tunnel:
    """One WebSocket's answers. ``open`` makes what reads a message of a media type; None when it passes as it is."""

    def __init__(
        self,
        exchange: Exchange,
        open: Callable[[str, Exchange, Results], Body | None],
        search: Callable[[bytes, bool], bytes],
    ) -> None:
        self._exchange = exchange
        self._open = open
        self._search = search
        self._frames = Frames(ResourceError, masked=False)
        self._inside = False
        self._held = b""
        self._body: Body | None = None
        self._shown = False

    @property
    def closed(self) -> bool:
        """Whether the server has said that it is over."""
        return self._frames.closed

    def take(self, data: bytes, results: Results) -> tuple[bytes, int]:
        """What the agent may see, and how many messages are whole now. Raises ResourceError."""
        said, whole = [], 0
        for piece in self._frames.take(data):
            if piece.opcode >= CLOSE:
                said.append(frame(piece.opcode, self._search(piece.payload, False)))
                continue
            said.append(self._message(piece, results))
            whole += piece.last
        return b"".join(said), whole

    def _message(self, piece: Piece, results: Results) -> bytes:
        if not self._inside:
            self._inside, self._shown = True, False
            media = "text/plain" if piece.opcode == TEXT else "application/octet-stream"
            self._body = self._open(media, self._exchange, results)
        self._inside = not piece.last
        if self._body is None:
            return self._framed(piece.opcode, self._search(piece.payload, not piece.last), last=piece.last)
        self._held += self._body.feed(piece.payload)
        if len(self._held) > HELD:
            raise ResourceError("a message is longer than what is held to be masked", code="resource.large")
        if not piece.last:
            return b""
        text, self._held = self._held + self._body.end(), b""
        for path, values in self._body.changed.items():
            field = Field(self._exchange.template, self._exchange.field(path))
            results.replaced(self._exchange.operation, field, values)
        return self._framed(piece.opcode, self._search(text, False), last=True)

    def _framed(self, opcode: int, payload: bytes, *, last: bool) -> bytes:
        if not payload and not last:
            return b""
        shown, self._shown = self._shown, True
        return frame(CONTINUATION if shown else opcode, payload, last=last)
