"""The recorder of a session: every byte both ways, cut into frames, sealed, and handed to the write-ahead log.

What the agent sent and was given is on the track ``agent``; what the upstream was sent and gave on ``upstream``, which
only auditors can open. Where nothing was rewritten the upstream track refers to the agent track, so that it costs
almost nothing.

Invariants: a track holds at most 128 KiB of plain bytes in memory; a reference never reaches the log before the bytes
it refers to; a sequence number is spent before its frame is written, so a failed write can never use a nonce twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

import orjson

from tidegate.clock import Clock
from tidegate.errors import LogFailure
from tidegate.model.event import Json

from .frame import (
    PLAIN_LIMIT,
    RECORD_HEADER,
    REDACTION,
    REFERENCE,
    TAG,
    TRACKS,
    TRAILER,
    FileHeader,
    FrameHeader,
    compress,
    frame_hash,
    key_id,
    redaction_hash,
    seal,
)
from .tree import Tree

BYTES, EVENT, SAME, REDACTED = 0, 5, 6, 7
"""Kinds of a record."""

EVENT_LIMIT = 64 * 1024
"""Most bytes of an event's JSON."""

_RESERVE = RECORD_HEADER.size + REDACTION.size
_RECORDS_LIMIT = 0xFFFF


class Recorder:
    """One per session, synchronous, used on one thread.

    ``keys`` maps ``agent`` and ``upstream`` to 32 bytes each. ``write`` takes a finished chunk and returns when the
    kernel has it. Every method raises what ``write`` raises (LogFailure), after which the recorder is of no more use.
    """

    def __init__(
        self,
        sid: uuid.UUID,
        *,
        header: Mapping[str, Json],
        keys: Mapping[str, bytes],
        write: Callable[[bytes], None],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._origin = clock.monotonic()
        started = clock.now()

        def track(name: str) -> _Track:
            fields = {**header, "sid": str(sid), "track": name}
            file = FileHeader(sid, started, self._origin, key_id(keys[name]), fields)
            return _Track(TRACKS[name], file, keys[name], write)

        self._agent, self._upstream = track("agent"), track("upstream")
        self._upstream.first = self._agent.close_frame
        self._rewritten = False

    def request(self, raw: bytes, forwarded: bytes) -> None:
        """What the agent sent, and what of it went upstream (nothing if it was refused)."""
        self._pair(raw, forwarded, agent_direction=0, upstream_direction=1)

    def response(self, received: bytes, delivered: bytes) -> None:
        """What the upstream sent, and what the agent was given."""
        self._pair(delivered, received, agent_direction=3, upstream_direction=2)

    def redacted(self, direction: int, data: bytes, reason: int) -> None:
        """In place of a credential: its length and a salted hash, on the track of ``direction``."""
        track = self._upstream if direction in (1, 2) else self._agent
        digest = redaction_hash(track.key, track.offset, data)
        track.put(direction, REDACTED, REDACTION.pack(digest, len(data), reason), self._now())

    def event(self, body: Mapping[str, Json]) -> None:
        """A JSON event on the agent track. Raises ValueError when it is over 64 KiB."""
        text = orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS)
        if len(text) > EVENT_LIMIT:
            raise ValueError(f"event of {len(text)} bytes, at most {EVENT_LIMIT} fit in a recording")
        self._agent.put(4, EVENT, text, self._now())

    def flush(self) -> None:
        """Close open frames: every byte so far has been written.

        References of the upstream track to the agent track hold no bytes of their own and may wait for ``seals``.
        """
        self._agent.close_frame()
        if self._rewritten:
            self._rewritten = False
            self._upstream.close_frame()

    def position(self) -> tuple[int, int]:
        """Frame and plain offset at which the next bytes of the agent track land."""
        return self._agent.seq, self._agent.offset

    def seals(self) -> dict[str, tuple[int, str]]:
        """For each track the frames and the hex root over their hashes, after closing what is open."""
        self._agent.close_frame()
        self._upstream.close_frame()
        return {name: self._track(name).seal() for name in TRACKS}

    def close(self, reason: str) -> dict[str, tuple[int, str]]:
        """Write what is open and the trailers; the final seals. Afterwards nothing can be recorded."""
        self.seals()
        now = self._now()
        for name in TRACKS:
            self._track(name).close(reason, now)
        return self.seals()

    def _track(self, name: str) -> _Track:
        return self._agent if name == "agent" else self._upstream

    def _now(self) -> int:
        return max(0, self._clock.monotonic() - self._origin)

    def _pair(self, seen: bytes, behind: bytes, *, agent_direction: int, upstream_direction: int) -> None:
        now, same = self._now(), seen == behind
        pieces = self._agent.put_bytes(agent_direction, seen, now)
        if not same:
            self._rewritten = True
            self._upstream.put_bytes(upstream_direction, behind, now)
            return
        for offset, size in pieces:
            self._upstream.put(upstream_direction, SAME, REFERENCE.pack(offset, size), now, moved=size)


class _Track:
    """One file's worth of frames. ``first`` is called before a frame closes."""

    def __init__(self, number: int, file: FileHeader, key: bytes, write: Callable[[bytes], None]) -> None:
        self.seq = 0
        self.key = key
        self.first: Callable[[], None] = lambda: None
        self._number, self._file, self._write = number, file, write
        self._preamble = file.pack()
        self._tree = Tree()
        self._start = 0
        self._open = bytearray()
        self._records = 0
        self._times = (0, 0)
        self._moved = [0] * 5
        self._closed = False

    @property
    def offset(self) -> int:
        """Plain offset of the next record."""
        return self._start + len(self._open)

    def seal(self) -> tuple[int, str]:
        """Frames closed so far and the root over them."""
        return self._tree.size, self._tree.root()

    def put_bytes(self, direction: int, data: bytes, now: int) -> list[tuple[int, int]]:
        """Record ``data``, cut where frames end; plain offset and length of each piece."""
        view, pieces = memoryview(data), []
        while view:
            piece = view[: PLAIN_LIMIT - len(self._open) - RECORD_HEADER.size]
            pieces.append((self.offset + RECORD_HEADER.size, len(piece)))
            self.put(direction, BYTES, piece, now, moved=len(piece))
            view = view[len(piece) :]
        return pieces

    def put(self, direction: int, kind: int, payload: bytes | memoryview, now: int, *, moved: int = 0) -> None:
        """Add one record, which stands for ``moved`` bytes; a full frame closes while a small record still fits."""
        if self._closed:
            raise ValueError("the recorder is closed")
        if len(self._open) + RECORD_HEADER.size + len(payload) > PLAIN_LIMIT:
            self.close_frame()
        self._times = (self._times[0] if self._records else now, now)
        self._open += RECORD_HEADER.pack(direction, kind, 0, len(payload), now)
        self._open += payload
        self._records += 1
        self._moved[direction] += moved
        if PLAIN_LIMIT - len(self._open) < _RESERVE or self._records == _RECORDS_LIMIT:
            self.close_frame()

    def close_frame(self) -> None:
        """Seal what is open and write it; nothing if nothing is open."""
        self.first()
        if not self._records:
            return
        if self.seq == TRAILER:
            raise LogFailure("the recording is full", hint="End the session and open a new one.")
        plain, seq, records = bytes(self._open), self.seq, self._records
        self.seq += 1
        self._open.clear()
        self._records = 0
        chunk = self._chunk(seq, plain, *compress(plain), records)
        self._start += len(plain)
        self._tree.append(frame_hash(chunk))
        self._write(chunk)

    def close(self, reason: str, now: int) -> None:
        """Write the trailer: counts, root and reason."""
        if self._closed:
            raise ValueError("the recorder is closed")
        self._closed = True
        self._times = (now, now)
        frames, root = self.seal()
        body = {"frames": frames, "bytes_dir": self._moved[:4], "root": root, "reason": reason}
        plain = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        self._write(self._chunk(TRAILER, plain, 0, plain, 0))

    def _chunk(self, seq: int, plain: bytes, codec: int, body: bytes, records: int) -> bytes:
        place = (seq, self._start, len(plain), len(body) + TAG, *self._times)
        header = FrameHeader(*place, codec, records, self._file.sid, self._number)
        preamble, self._preamble = self._preamble, b""
        return seal(self.key, preamble, header, body)
