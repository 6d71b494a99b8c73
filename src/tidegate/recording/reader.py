"""Reading a track back, verified: what is yielded is what was recorded, or IntegrityError names the frame.

A missing trailer is no error, since the session may be live or may have died with the gateway; whether frames are
missing at the end only the audit log can say, so give the ``seal`` that its newest leaf about the track holds.

Invariant: at most one frame of a track is in memory.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from tidegate.errors import IntegrityError

from .frame import (
    FILE_HEADER,
    FRAME_HEADER,
    JSON_LIMIT,
    RECORD_HEADER,
    REFERENCE,
    TRAILER,
    FileHeader,
    FrameHeader,
    broken,
    frame_hash,
    key_id,
    open_sealed,
)
from .tree import Tree
from .writer import SAME

Seal = tuple[int, str]
"""Number of frames and hex root over their hashes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What passed at one moment.

    ``direction`` is 0 agent to gateway, 1 gateway to upstream, 2 upstream to gateway, 3 gateway to agent, 4 event;
    ``kind`` as in docs/spec/recording.md; ``at_us`` microseconds since the recording started; ``offset`` the plain
    offset of the record in its track, as an operation's leaf names it.
    """

    direction: int
    kind: int
    channel: int
    at_us: int
    payload: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One sealed frame as it stands in the file: what needs no key."""

    header: FrameHeader
    preamble: bytes
    stored: bytes

    @property
    def hash(self) -> bytes:
        """Its leaf in the track's tree."""
        return frame_hash(self.preamble + self.header.pack() + self.stored)


def describe(path: Path) -> FileHeader:
    """What the file says about itself, not verified. Raises IntegrityError."""
    with path.open("rb") as file:
        return FileHeader.unpack(file.read(FILE_HEADER.size + JSON_LIMIT))[0]


def frames(path: Path) -> Iterator[Frame]:
    """The frames of a file and its trailer, in order, without a key: enough to check a seal.

    Raises IntegrityError naming the frame that is cut, out of order or of another recording.
    """
    with path.open("rb") as file:
        start, size = FileHeader.unpack(file.read(FILE_HEADER.size + JSON_LIMIT))
        file.seek(0)
        preamble, seq, offset = file.read(size), 0, 0
        number: int | None = None
        while head := file.read(FRAME_HEADER.size):
            frame = _frame(file, head, preamble, seq)
            _placed(frame.header, seq, offset, start.sid, number)
            yield frame
            preamble, seq, offset = b"", frame.header.seq + 1, offset + frame.header.plain_len
            number = frame.header.track
        if preamble:
            raise broken("frame 0", "is missing")


def read(
    path: Path, key: bytes, *, agent: tuple[Path, bytes] | None = None, seal: Seal | None = None
) -> Iterator[Record]:
    """The records of a track.

    ``agent`` is path and key of the agent track; with it a reference (kind 6) is yielded with the bytes it stands for
    and kind 0. ``seal`` is what the audit log holds: its frames must be there, under its root.
    Raises IntegrityError naming the frame, code ``recording.key`` when the key is not this track's.
    """
    if describe(path).key_id != key_id(key):
        raise IntegrityError(
            "recording: the key does not fit the file header",
            hint="Take the key of this session and track.",
            code="recording.key",
        )
    if agent and describe(agent[0]).sid != describe(path).sid:
        raise broken("agent track", "belongs to another session")
    source = _Referred(*agent) if agent else None
    tree = Tree()
    for frame in frames(path):
        plain = open_sealed(key, frame.preamble, frame.header, frame.stored)
        if frame.header.seq == TRAILER:
            _check_trailer(plain, tree)
            continue
        tree.append(frame.hash)
        if seal and tree.size == seal[0] and tree.root() != seal[1]:
            raise broken(f"frames 0 to {tree.size - 1}", "are not those that the audit log sealed")
        for record in _records(frame.header, plain):
            yield source.resolve(record) if source and record.kind == SAME else record
    if seal and tree.size < seal[0]:
        raise broken(f"frame {tree.size}", f"is missing: the audit log sealed {seal[0]} frames")


class _Referred:
    """The agent track as the target of references, which only ever go forward."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._frames = frames(path)
        self._key = key
        self._start = 0
        self._plain = b""

    def resolve(self, record: Record) -> Record:
        offset, size = REFERENCE.unpack(record.payload)
        while offset >= self._start + len(self._plain):
            frame = next(self._frames, None)
            if frame is None or frame.header.seq == TRAILER:
                raise broken(f"agent track at {offset}", "is missing, but the upstream track refers to it")
            self._start = frame.header.plain_off
            self._plain = open_sealed(self._key, frame.preamble, frame.header, frame.stored)
        begin = offset - self._start
        payload = self._plain[begin : begin + size] if begin >= 0 else b""
        if len(payload) != size:
            raise broken(f"agent track at {offset}", f"does not hold the {size} bytes that are referred to")
        return Record(record.direction, 0, record.channel, record.at_us, payload, record.offset)


def _frame(file: BinaryIO, head: bytes, preamble: bytes, seq: int) -> Frame:
    header = FrameHeader.unpack(head, f"frame {seq}")
    stored = file.read(header.stored_len)
    if len(stored) != header.stored_len:
        raise broken(f"frame {seq}", "is cut short")
    return Frame(header, preamble, stored)


def _placed(header: FrameHeader, seq: int, offset: int, sid: uuid.UUID, track: int | None) -> None:
    if seq > TRAILER:
        raise broken("trailer", "is not the end of the file")
    if header.seq not in (seq, TRAILER) or header.plain_off != offset:
        raise broken(f"frame {seq}", f"is missing: {header.name} stands in its place")
    if header.sid != sid or (track is not None and header.track != track):
        raise broken(header.name, "belongs to another recording")


def _records(header: FrameHeader, plain: bytes) -> Iterator[Record]:
    at, count = 0, 0
    while at < len(plain):
        if len(plain) - at < RECORD_HEADER.size:
            raise broken(header.name, "ends within a record")
        direction, kind, channel, size, at_us = RECORD_HEADER.unpack_from(plain, at)
        body = at + RECORD_HEADER.size
        if body + size > len(plain):
            raise broken(header.name, "ends within a record")
        yield Record(direction, kind, channel, at_us, plain[body : body + size], header.plain_off + at)
        at, count = body + size, count + 1
    if count != header.records:
        raise broken(header.name, f"holds {count} records where its header says {header.records}")


def _check_trailer(plain: bytes, tree: Tree) -> None:
    try:
        body = orjson.loads(plain)
    except orjson.JSONDecodeError as error:
        raise broken("trailer", "does not hold JSON") from error
    if not isinstance(body, dict) or (body.get("frames"), body.get("root")) != (tree.size, tree.root()):
        raise broken("trailer", f"closes other frames than the {tree.size} that stand before it")
