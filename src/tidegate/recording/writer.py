"""The recorder of a session: every byte both ways, cut into frames, sealed, and handed to the write-ahead log.

What the agent sent and was given is on the track ``agent``; what the upstream was sent and gave on ``upstream``, which
only auditors can open. Where nothing was rewritten the upstream track refers to the agent track, so that it costs
almost nothing; also where chunks begin and end within messages, of which the agent is given whole ones only.

Invariants: a track holds at most 128 KiB of plain bytes in memory; a reference never reaches the log before the bytes
it refers to; a sequence number is spent before its frame is written, so a failed write can never use a nonce twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

import orjson
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

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
    compress,
    frame_hash,
    frame_header,
    key_id,
    redaction_hash,
    seal,
)
from .tree import Tree

BYTES, EVENT, SAME, REDACTED = 0, 5, 6, 7
"""Kinds of a record."""

EVENT_LIMIT = 64 * 1024
"""Most bytes of an event's JSON."""

WHOLE = 16 * 1024
"""Bytes up to which a record is not cut in two to fill a frame."""

SHARED = 4096
"""Bytes from which on it is worth looking for what both tracks have in common when they are not the same."""

_PROBE = 32
"""Bytes by which its place is found."""

_NEAR = 16 * 1024
"""Bytes of a message in whose rest it is looked for."""

_RESERVE = RECORD_HEADER.size + REDACTION.size
_RECORDS_LIMIT = 0xFFFF


class Recorder:
    """One per session, synchronous, used on one thread.

    ``keys`` maps ``agent`` and ``upstream`` to 32 bytes each. ``write`` takes a finished chunk and its hash. Every
    method raises what ``write`` raises (LogFailure), after which the recorder is of no more use.
    """

    def __init__(
        self,
        sid: uuid.UUID,
        *,
        header: Mapping[str, Json],
        keys: Mapping[str, bytes],
        write: Callable[[bytes, bytes], None],
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
        self._late = 0
        """Bytes at the end of what came last that the agent has not been given yet."""

    def request(self, raw: bytes, forwarded: bytes) -> None:
        """What the agent sent, and what of it went upstream (nothing if it was refused)."""
        self._pair(raw, forwarded, 0 if raw == forwarded else None, 0, 1)

    def response(self, received: bytes, delivered: bytes) -> None:
        """What the upstream sent, and what the agent was given."""
        at = self._common(received, delivered)
        self._late = 0 if at is None else at + len(received) - len(delivered)
        self._pair(delivered, received, at, 3, 2)

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
        """Close open frames: every byte so far has been handed to ``write``.

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

    def _common(self, received: bytes, delivered: bytes) -> int | None:
        """From where on ``delivered`` is what ``received`` begins with; before that stands what came earlier."""
        if received == delivered:
            return 0
        if len(delivered) >= SHARED:
            probe = received[:_PROBE]
            for at in (self._late, delivered.find(probe, 0, _NEAR)):
                if at >= 0 and delivered.startswith(probe, at) and received.startswith(delivered[at:]):
                    return at
        return None

    def _pair(self, seen: bytes, behind: bytes, at: int | None, direction: int, upstream_direction: int) -> None:
        """Record both sides; from ``at`` on, ``seen`` is what ``behind`` begins with."""
        now, rest = self._now(), behind
        pieces = self._agent.put_bytes(direction, seen, now)
        if at is not None:
            rest = behind[len(seen) - at :]
            for offset, size in pieces:
                skipped = min(at, size)
                at -= skipped
                if skipped < size:
                    place = REFERENCE.pack(offset + skipped, size - skipped)
                    self._upstream.put(upstream_direction, SAME, place, now, moved=size - skipped)
        if at is None or rest:
            self._rewritten = True
            self._upstream.put_bytes(upstream_direction, rest, now)


class _Track:
    """One file's worth of frames. ``first`` is called before a frame closes."""

    def __init__(self, number: int, file: FileHeader, key: bytes, write: Callable[[bytes, bytes], None]) -> None:
        self.first: Callable[[], None] | None = None
        self.seq = 0
        self.key = key
        self._number, self._sid, self._write = number, file.sid.bytes, write
        self._cipher = ChaCha20Poly1305(key)
        self._preamble = file.pack()
        self._tree = Tree()
        self._start = 0
        self._open = bytearray()
        self._records = 0
        self._began = self._ended = 0
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
        """Record ``data``, cut where frames end if it is long; plain offset and length of each piece."""
        size = len(data)
        if 0 < size <= WHOLE:
            if len(self._open) + RECORD_HEADER.size + size > PLAIN_LIMIT:
                self.close_frame()
            place = (self.offset + RECORD_HEADER.size, size)
            self.put(direction, BYTES, data, now, moved=size)
            return [place]
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
        if not self._records:
            self._began = now
        self._ended = now
        self._open += RECORD_HEADER.pack(direction, kind, 0, len(payload), now)
        self._open += payload
        self._records += 1
        self._moved[direction] += moved
        if PLAIN_LIMIT - len(self._open) < _RESERVE or self._records == _RECORDS_LIMIT:
            self.close_frame()

    def close_frame(self) -> None:
        """Seal what is open and write it; nothing if nothing is open."""
        if self.first is not None:
            self.first()
        if not self._records:
            return
        if self.seq == TRAILER:
            raise LogFailure("the recording is full", hint="End the session and open a new one.")
        plain, seq, records = self._open, self.seq, self._records
        self.seq += 1
        self._open = bytearray()
        self._records = 0
        codec, body = compress(plain)
        chunk = self._chunk(seq, len(plain), codec, body, records)
        self._start += len(plain)
        digest = frame_hash(chunk)
        self._tree.append(digest)
        self._write(chunk, digest)

    def close(self, reason: str, now: int) -> None:
        """Write the trailer: counts, root and reason."""
        if self._closed:
            raise ValueError("the recorder is closed")
        self._closed = True
        self._began = self._ended = now
        frames, root = self.seal()
        body = {"frames": frames, "bytes_dir": self._moved[:4], "root": root, "reason": reason}
        plain = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        chunk = self._chunk(TRAILER, len(plain), 0, plain, 0)
        self._write(chunk, frame_hash(chunk))

    def _chunk(self, seq: int, size: int, codec: int, body: bytes, records: int) -> bytes:
        head = frame_header(
            seq,
            self._start,
            size,
            len(body) + TAG,
            self._began,
            self._ended,
            codec,
            records,
            self._sid,
            self._number,
        )
        preamble, self._preamble = self._preamble, b""
        return seal(self._cipher, preamble + head, seq, body)
