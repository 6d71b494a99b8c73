"""Where recordings lie: ``rec/<yyyy>/<mm>/<dd>/<sid>.<track>.gwrec`` under a directory, the day taken from the UUIDv7.

The shelf takes chunks from the write-ahead log, in its order, after they are durable there; it runs on the log's writer
thread and needs no key. Appending a chunk again changes nothing, so recovery simply appends all that the log holds.

Invariants: nothing is cut off that is not written anew in the same call; a gap is an error; ``sync`` returns when every
chunk and every new directory entry is on disk. OSError passes through: for the log it is final.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.errors import IntegrityError

from .frame import FILE_HEADER, FRAME_HEADER, JSON_LIMIT, TRACKS, TRAILER, FileHeader, FrameHeader, broken, split
from .reader import frames
from .tree import Tree

_NAMES = {number: name for name, number in TRACKS.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def place(directory: Path, sid: uuid.UUID, track: str) -> Path:
    """The file of a session's track. Raises IntegrityError when ``sid`` carries no time (RFC 9562 section 5.7)."""
    try:
        day = _EPOCH + timedelta(milliseconds=sid.int >> 80)
    except OverflowError as error:
        raise broken(f"session {sid}", "has a time after the year 9999") from error
    if sid.version != 7:
        raise broken(f"session {sid}", "is no UUID of version 7, so it has no day")
    return directory / "rec" / f"{day:%Y/%m/%d}" / f"{sid}.{track}.gwrec"


class Shelf:
    """Files of recordings under ``directory``, at most ``keep_open`` of them open; used on one thread."""

    def __init__(self, directory: Path, *, keep_open: int = 64) -> None:
        self._directory = directory
        self._keep_open = keep_open
        self._files: OrderedDict[tuple[uuid.UUID, int], _File] = OrderedDict()
        self._folders: set[Path] = set()

    def append(self, frame: bytes) -> None:
        """Put a chunk where it belongs; one that is already there is left alone.

        Raises IntegrityError for what is no chunk or leaves a gap, OSError when the disk refuses.
        """
        preamble, header, _ = split(frame)
        self._file(header.sid, header.track).put(header, len(preamble) + FRAME_HEADER.size, frame)

    def sync(self) -> None:
        """Return when everything appended is on disk."""
        for file in self._files.values():
            file.sync()
        self._sync_folders()

    def find(self, sid: uuid.UUID) -> dict[str, Path]:
        """The files of a session by track; empty when there is none."""
        try:
            paths = {name: place(self._directory, sid, name) for name in TRACKS}
        except IntegrityError:
            return {}
        return {name: path for name, path in paths.items() if path.is_file()}

    def seals(self, sid: str) -> dict[str, tuple[int, str]]:
        """Number and root of the frames of each track of a session that can be read; a trailer does not count."""
        found = {}
        with contextlib.suppress(ValueError):
            for name, path in self.find(uuid.UUID(sid)).items():
                with contextlib.suppress(IntegrityError):
                    found[name] = _seal(path)
        return found

    def close(self) -> None:
        """Sync and close all files."""
        self._sync_folders()
        while self._files:
            self._files.popitem()[1].close()

    def _file(self, sid: uuid.UUID, track: int) -> _File:
        key = (sid, track)
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        if len(self._files) >= self._keep_open:
            self._files.popitem(last=False)[1].close()
        path = place(self._directory, sid, _NAMES[track])
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # All levels, also those that stood before: a killed process may have made them and never synced them.
        self._folders.update(path.parents[:5])
        self._files[key] = _File(path, sid, track)
        return self._files[key]

    def _sync_folders(self) -> None:
        for folder in self._folders:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        self._folders.clear()


def _seal(path: Path) -> tuple[int, str]:
    tree = Tree()
    for frame in frames(path):
        if frame.header.seq != TRAILER:
            tree.append(frame.hash)
    return tree.size, tree.root()


class _File:
    """One track's file. ``next`` is the sequence number that fits at ``end``; TRAILER + 1 once the trailer is there."""

    def __init__(self, path: Path, sid: uuid.UUID, track: int) -> None:
        self._sid, self._track = sid, track
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._dirty = False
        self._mark = (0, 0)
        self.next, self.end = self._walk(TRAILER + 1)

    def put(self, header: FrameHeader, head: int, chunk: bytes) -> None:
        """Write ``chunk``, whose body starts at ``head``, unless these very bytes are in its place."""
        trailer = header.seq == TRAILER
        if header.seq > self.next and not trailer:
            raise self._wrong(f"{header.name} comes where frame {self.next} is missing")
        fresh = header.seq == self.next or (trailer and self.next < TRAILER)
        at = self.end if fresh else self._find(header.seq)
        if (head > FRAME_HEADER.size) != (at == 0):
            raise self._wrong(f"{header.name} has a file header where none belongs, or none where one does")
        if fresh:
            self._write(chunk, at)
            os.ftruncate(self._handle, at + len(chunk))
            self.next, self.end = header.seq + 1, at + len(chunk)
            return
        found = os.pread(self._handle, len(chunk), at)
        if found[:head] != chunk[:head]:
            raise self._wrong(f"another {header.name} is there already")
        if found != chunk:
            self._write(chunk, at)
        if trailer:
            os.ftruncate(self._handle, at + len(chunk))

    def sync(self) -> None:
        """Return when what was written is on disk."""
        if self._dirty:
            os.fsync(self._handle)
            self._dirty = False

    def close(self) -> None:
        """Sync and close."""
        try:
            self.sync()
        finally:
            os.close(self._handle)

    def _write(self, chunk: bytes, at: int) -> None:
        self._dirty = True
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._handle, view, at)
            view, at = view[written:], at + written

    def _find(self, seq: int) -> int:
        """Where frame ``seq`` stands; recovery asks in order, so each search goes on from the last."""
        self._mark = self._walk(seq, *(self._mark if self._mark[0] <= seq else (0, 0)))
        return self._mark[1]

    def _walk(self, until: int, seq: int = 0, at: int = 0) -> tuple[int, int]:
        """From frame ``seq`` at ``at`` on, the first place at or before frame ``until`` where no whole frame stands.

        A crash can leave any tail; what does not look like the next frame of this track counts as absent.
        """
        size, place = os.fstat(self._handle).st_size, (seq, at)
        try:
            at = at or FileHeader.unpack(os.pread(self._handle, FILE_HEADER.size + JSON_LIMIT, 0))[1]
            while seq < until:
                header = FrameHeader.unpack(os.pread(self._handle, FRAME_HEADER.size, at))
                at += FRAME_HEADER.size + header.stored_len
                ours = header.seq in (seq, TRAILER) and (header.sid, header.track) == (self._sid, self._track)
                if not ours or at > size or header.seq >= until:
                    break
                seq = header.seq + 1
                place = (seq, at)
        except IntegrityError:
            pass
        return place

    def _wrong(self, happened: str) -> IntegrityError:
        return IntegrityError(
            f"recording of session {self._sid}: {happened}",
            hint="The write-ahead log and the recording do not agree; run `tidegate doctor`.",
            code="recording.broken",
        )
