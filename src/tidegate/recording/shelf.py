"""Where recordings lie: ``rec/<yyyy>/<mm>/<dd>/<sid>.<track>.gwrec`` under a directory, the day taken from the UUIDv7.

The shelf takes chunks from the write-ahead log, in its order, after they are durable there; it runs under the log
writer's lock and needs no key. Appending a chunk again changes nothing, so recovery simply appends all that the log
holds. Appending happens on the event loop: it neither waits for the disk nor reads again what it once has read.

Invariants: nothing is cut off that is not written anew in the same call; a gap is an error; ``sync`` returns when every
chunk and every new directory entry is on disk. OSError passes through: for the log it is final.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.errors import IntegrityError

from .frame import FILE_HEADER, FRAME_HEADER, JSON_LIMIT, TRACKS, TRAILER, FileHeader, FrameHeader, broken, peek
from .reader import frames
from .tree import Tree

_NAMES = {number: name for name, number in TRACKS.items()}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE = 4096


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
    """Files of recordings under ``directory``, at most ``keep_open`` of them open; used by one thread at a time."""

    def __init__(self, directory: Path, *, keep_open: int = 64) -> None:
        self._directory = directory
        self._keep_open = keep_open
        self._files: OrderedDict[tuple[bytes, int], _File] = OrderedDict()
        self._folders: set[Path] = set()
        self._unsynced: set[Path] = set()
        self._places: dict[tuple[bytes, int], tuple[int, int]] = {}
        """Where files that were closed before their trailer go on."""

    def append(self, chunks: Iterable[bytes]) -> None:
        """Put chunks where they belong; one that is already there is left alone.

        Raises IntegrityError for what is no chunk or leaves a gap, OSError when the disk refuses.
        """
        touched: dict[_File, None] = {}
        for chunk in chunks:
            sid, track, seq, head = peek(chunk)
            file = self._file(sid, track)
            file.put(seq, head, chunk)
            touched[file] = None
        for file in touched:
            file.flush()

    def sync(self) -> None:
        """Return when everything appended is on disk."""
        for file in self._files.values():
            file.sync()
        for path in self._unsynced:
            _sync(path, os.O_RDONLY | os.O_NOFOLLOW)
        self._unsynced.clear()
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
        self.sync()
        while self._files:
            self._files.popitem()[1].close()

    def _file(self, name: bytes, track: int) -> _File:
        key = (name, track)
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        if len(self._files) >= self._keep_open:
            self._let_go(*self._files.popitem(last=False))
        sid = uuid.UUID(bytes=name)
        path = place(self._directory, sid, _NAMES[track])
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # All levels, also those that stood before: a killed process may have made them and never synced them.
        self._folders.update(path.parents[:5])
        self._files[key] = _File(path, sid, track, self._places.pop(key, None))
        return self._files[key]

    def _let_go(self, key: tuple[bytes, int], file: _File) -> None:
        """Close a file without waiting for the disk."""
        file.close()
        if file.dirty:
            self._unsynced.add(file.path)
        if file.next <= TRAILER:
            self._places[key] = (file.next, file.end)

    def _sync_folders(self) -> None:
        for folder in self._folders:
            _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._folders.clear()


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seal(path: Path) -> tuple[int, str]:
    tree = Tree()
    for frame in frames(path):
        if frame.header.seq != TRAILER:
            tree.append(frame.hash)
    return tree.size, tree.root()


class _File:
    """One track's file. ``next`` is the sequence number that fits at ``end``; TRAILER + 1 once the trailer is there.

    ``place`` are these two where they are known. ``dirty``: something was written that is not synced.
    """

    def __init__(self, path: Path, sid: uuid.UUID, track: int, place: tuple[int, int] | None = None) -> None:
        self.path = path
        self._sid, self._track = sid, track
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.dirty = False
        self._fresh: list[bytes] = []
        self._mark = (0, 0)
        self.next, self.end = place or self._walk(TRAILER + 1)
        self._tail = os.fstat(self._handle).st_size > self.end

    def put(self, seq: int, head: int, chunk: bytes) -> None:
        """Take ``chunk``, whose body starts at ``head``, unless these very bytes are in its place; see ``flush``."""
        trailer = seq == TRAILER
        if seq > self.next and not trailer:
            raise self._wrong(f"frame {seq} comes where frame {self.next} is missing")
        fresh = seq == self.next or (trailer and self.next < TRAILER)
        if not fresh:
            self._again(seq, head, chunk)
            return
        self._well_placed(seq, head, self.end)
        self._fresh.append(chunk)
        self.next, self.end = seq + 1, self.end + len(chunk)

    def flush(self) -> None:
        """Write what was taken, and cut off what a crash left behind it."""
        if self._fresh:
            data = b"".join(self._fresh)
            self._fresh.clear()
            self._write(data, self.end - len(data))
            if self._tail:
                os.ftruncate(self._handle, self.end)
                self._tail = False

    def _again(self, seq: int, head: int, chunk: bytes) -> None:
        """A chunk that was there before a crash: write it anew where it differs."""
        self.flush()
        at = self._find(seq)
        self._well_placed(seq, head, at)
        found = os.pread(self._handle, len(chunk), at)
        if found[:head] != chunk[:head]:
            raise self._wrong(f"another frame {seq} is there already")
        if found != chunk:
            self._write(chunk, at)
        if seq == TRAILER:
            os.ftruncate(self._handle, at + len(chunk))

    def _well_placed(self, seq: int, head: int, at: int) -> None:
        if (head > FRAME_HEADER.size) != (at == 0):
            raise self._wrong(f"frame {seq} has a file header where none belongs, or none where one does")

    def sync(self) -> None:
        """Return when what was written is on disk, and leave the memory that held it to what is written next."""
        if self.dirty:
            os.fsync(self._handle)
            self.dirty = False
            whole = self.end - self.end % _PAGE
            if whole:  # the last page stays: the next write goes on in it
                os.posix_fadvise(self._handle, 0, whole, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Write what was taken and close."""
        try:
            self.flush()
        finally:
            os.close(self._handle)

    def _write(self, chunk: bytes, at: int) -> None:
        self.dirty = True
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
