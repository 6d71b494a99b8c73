"""The frames of WebSocket, read strictly as they stream, in either direction. Source: RFC 6455 section 5.

No extension is ever agreed on, so reserved bits are an error. A message passes piece by piece: whoever stands in
between may fragment it anew (section 5.4). Nothing that follows a close frame goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.errors import AgentError, ResourceError, TidegateError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes."""

LONGEST = 125
"""Bytes of a control frame."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a message, or a whole control frame; ``last`` ends it."""

    opcode: int
    payload: bytes
    last: bool


class Frames:
    """One direction. ``masked``: frames are masked, as an agent's must be; ``fault`` is whose fault nonsense is."""

    def __init__(self, fault: type[AgentError | ResourceError], *, masked: bool) -> None:
        self._fault = fault
        self._masked = masked
        self._buffer = b""
        self._left = 0
        self._key = b""
        self._turn = 0
        self._opcode = 0
        self._message = 0
        self._ends = False
        self.closed = False

    def take(self, data: bytes) -> list[Piece]:
        """What the bytes bring. Raises AgentError or ResourceError."""
        data, self._buffer = self._buffer + data, b""
        pieces: list[Piece] = []
        at = 0
        while at < len(data):
            if self.closed and not self._masked:
                return pieces  # what a server says after its end is not heard (section 1.4)
            if self.closed:
                raise self._wrong("something follows the end")
            if not self._left:
                size = self._head(data, at)
                if not size:
                    break
                at += size
                if self._empty():
                    pieces.append(self._piece(b""))
                continue
            if self._opcode >= CLOSE and len(data) - at < self._left:
                break
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            pieces.append(self._piece(self._clear(part)))
        self._buffer = data[at:]
        return pieces

    def _head(self, data: bytes, at: int) -> int:
        """The length of the frame's head at ``at``; 0 if it is not whole yet."""
        if len(data) - at < 2:
            return 0
        first, second = data[at], data[at + 1]
        size, length = 2, second & 0x7F
        if length > LONGEST:
            more = 2 if length == 126 else 8
            if len(data) - at < 2 + more:
                return 0
            length = int.from_bytes(data[at + 2 : at + 2 + more], "big")
            size += more
            if length < (126 if more == 2 else 65536) or length >= 1 << 63:
                raise self._wrong("a length is not in its one spelling")
        if bool(second & 0x80) is not self._masked:
            raise self._wrong("a frame is masked as it must not be")
        if self._masked:
            if len(data) - at < size + 4:
                return 0
            self._key, self._turn = data[at + size : at + size + 4], 0
            size += 4
        self._begin(first, length)
        return size

    def _begin(self, first: int, length: int) -> None:
        opcode, self._ends = first & 0x0F, bool(first & 0x80)
        control = opcode >= CLOSE
        if first & 0x70 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise self._wrong("a frame is of a kind that nobody agreed on")
        if control and (length > LONGEST or not self._ends or (opcode == CLOSE and length == 1)):
            raise self._wrong("a control frame is too long, or cut")
        if not control and (opcode == CONTINUATION) is not bool(self._message):
            raise self._wrong("a message begins within another, or goes on without having begun")
        if not control and opcode:
            self._message = opcode
        self._opcode, self._left = opcode, length

    def _empty(self) -> bool:
        return not self._left

    def _piece(self, payload: bytes) -> Piece:
        whole = not self._left
        if self._opcode >= CLOSE:
            self.closed = self._opcode == CLOSE
            return Piece(self._opcode, payload, last=True)
        opcode, last = self._message, whole and self._ends
        if last:
            self._message = 0
        return Piece(opcode, payload, last)

    def _clear(self, part: bytes) -> bytes:
        """The bytes without their mask (section 5.3)."""
        if not self._masked:
            return part
        turned = self._key[self._turn :] + self._key[: self._turn]
        self._turn = (self._turn + len(part)) % 4
        key = (turned * (len(part) // 4 + 1))[: len(part)]
        return (int.from_bytes(part, "big") ^ int.from_bytes(key, "big")).to_bytes(len(part), "big")

    def _wrong(self, words: str) -> TidegateError:
        if self._fault is AgentError:
            return AgentError(f"this is not WebSocket: {words}", hint="Check the client.", code="http.malformed")
        return ResourceError(f"the server does not speak WebSocket: {words}", code="resource.desync")


def frame(opcode: int, payload: bytes, *, last: bool = True) -> bytes:
    """A frame without a mask."""
    first, size = opcode | (0x80 if last else 0), len(payload)
    if size <= LONGEST:
        return bytes((first, size)) + payload
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def close(code: int, reason: str) -> bytes:
    """A close frame (section 5.5.1)."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[: LONGEST - 2].decode("utf-8", "ignore").encode())
