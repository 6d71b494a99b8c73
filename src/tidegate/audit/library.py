"""All logs of a gateway for reading: its own, and those of workers as far as their checkpoints go.

What a worker wrote after its last checkpoint, a second ago at most, is not read: ``fresh`` asks the workers to seal
first. Reading verifies nothing; that is what ``verify`` is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

from tidegate.errors import IntegrityError

from .tiles import WIDTH, tile_path, unbundle

TRIES = 5
"""How often a bundle is looked for while its worker puts a wider one in its place."""


class Reader(Protocol):
    """A log to read from; ``directory`` has its keys, sealed parts and recordings too."""

    @property
    def directory(self) -> Path:
        """The data directory it lies in."""

    @property
    def worker(self) -> int:
        """The worker whose log it is, 0 for the gateway's own."""

    @property
    def size(self) -> int:
        """The number of leaves that can be read."""

    def leaf(self, index: int) -> bytes:
        """The entry of leaf ``index``. Raises IndexError, IntegrityError."""

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries of leaves ``start`` to ``stop``, as far as there are any. Raises IntegrityError."""


class SealedLog:
    """The log of worker ``worker`` in ``directory``, up to the checkpoint that is there now. Raises IntegrityError."""

    def __init__(self, directory: Path, worker: int) -> None:
        self.directory = directory
        self.worker = worker
        self._shard = newest_shard(directory)
        self.size = read_size(self._shard)

    def leaf(self, index: int) -> bytes:
        """The entry of leaf ``index``. Raises IndexError, IntegrityError."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        return next(self.leaves(index, index + 1))

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries of leaves ``start`` to ``stop``, as far as there are any. Raises IntegrityError."""
        start, stop = max(0, start), min(stop, self.size)
        number, held = -1, []
        for index in range(start, stop):
            if number != index // WIDTH:
                number = index // WIDTH
                held = self._bundle(number)
            yield held[index % WIDTH]

    def _bundle(self, number: int) -> list[bytes]:
        """The entries of a bundle, as many as the checkpoint needs or more: it may have grown since."""
        needed = min(WIDTH, self.size - number * WIDTH)
        for _ in range(TRIES):
            full = self._shard / tile_path("entries", number)
            partial = sorted((self._shard / tile_path("entries", number, 1)).parent.glob("*"), key=_width)
            for path in (full, *reversed(partial)):
                try:
                    entries = unbundle(path.read_bytes())
                except (FileNotFoundError, ValueError):
                    continue
                if len(entries) >= needed:
                    return entries
        raise IntegrityError(f"Bundle {number} of {self._shard} does not hold its {needed} entries.")


class Library:
    """The logs under one data directory; ``own`` is the log of this process and lies in the directory itself."""

    def __init__(self, own: Reader, fresh: Callable[[], Awaitable[None]] | None = None) -> None:
        self._own = own
        self._fresh = fresh

    def worker_of(self, sid: str) -> int:
        """The worker that a session belongs to, 0 for none: where its keys are. Blocks for a moment."""
        found = (number for number, path in self._places() if (path / "keys" / f"{sid}.agent.age").exists())
        return next(found, 0)

    async def of_session(self, sid: str) -> Reader:
        """The log that a session's leaves are in."""
        return await self.of_worker(await asyncio.to_thread(self.worker_of, sid))

    async def of_worker(self, number: int) -> Reader:
        """The log of a worker, or the gateway's own (0). Raises IntegrityError when there is none."""
        if number == 0:
            return self._own
        if self._fresh is not None:
            await self._fresh()
        return await asyncio.to_thread(SealedLog, self._own.directory / "workers" / str(number), number)

    async def all(self) -> dict[int, Reader]:
        """Every log by the number of its worker, the gateway's own (0) first."""
        if self._fresh is not None:
            await self._fresh()
        return {0: self._own, **await asyncio.to_thread(lambda: {n: SealedLog(path, n) for n, path in self._places()})}

    def _places(self) -> list[tuple[int, Path]]:
        return places(self._own.directory)


def places(data: Path) -> list[tuple[int, Path]]:
    """The data directories of workers below the gateway's, by number: those that hold a log."""
    found = ((path.name, path) for path in data.glob("workers/*"))
    return sorted((int(name), path) for name, path in found if name.isdigit() and any(path.glob("log/*/checkpoint")))


def newest_shard(directory: Path) -> Path:
    """The directory of a log's newest shard. Raises IntegrityError."""
    shard = max(directory.glob("log/*"), default=None)
    if shard is None:
        raise IntegrityError(f"{directory} holds no log.", code="log.missing")
    return shard


def read_size(shard: Path) -> int:
    """The size that the checkpoint of a shard names. Raises IntegrityError."""
    try:
        return int((shard / "checkpoint").read_bytes().split(b"\n", 2)[1])
    except (OSError, ValueError, IndexError):
        raise IntegrityError(f"{shard} has no checkpoint that can be read.", code="log.missing") from None


def _width(path: Path) -> int:
    return int(path.name) if path.name.isdigit() else 0
