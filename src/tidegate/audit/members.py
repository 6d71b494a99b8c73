"""The logs of workers as the gateway's own log tells of them: a leaf over each of their checkpoints.

A worker's log is a member from the leaf on that names its key; later leaves say how far it has come. Invariants: a
checkpoint is told only if that key signed it; a member never becomes shorter, nor does it go away unnoticed.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import IntegrityError
from tidegate.model.event import Json

from .checkpoint import Checkpoint, Verifier, open_checkpoint
from .files import sync_directory, write_file
from .library import newest_shard, places
from .log import Log


@dataclass(frozen=True, slots=True)
class Member:
    """What the gateway's log has last said of a worker's log."""

    vkey: str
    size: int


class Members:
    """Writes ``log.member`` leaves into ``log``; event loop only. Reads ``log`` when made, which blocks."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = asyncio.Lock()
        self._members: dict[str, Member] = {}
        for leaf in log.recent(0):
            if leaf["k"] == "log.member":
                self._members.setdefault(str(leaf["origin"]), Member(str(leaf["vkey"]), int(str(leaf["size"]))))

    def check(self) -> None:
        """Raise IntegrityError (status 66) when a member is gone or was cut back. Blocks."""
        found = {origin: read for read in self._read() for origin in [read.origin]}
        for origin, member in self._members.items():
            have = found[origin].size if origin in found else 0
            if have < member.size:
                raise IntegrityError(
                    f"The log {origin} had {member.size} leaves, but {have or 'none'} are there.",
                    hint="The directory of a worker was removed, cut back or restored from an old copy. "
                    "Keep what is there, and restore the newest copy.",
                    status=66,
                )

    async def join(self, origin: str, vkey: str) -> None:
        """A worker's log takes part; durable on return. Raises IntegrityError when it has another key than before."""
        async with self._lock:
            member = self._members.get(origin)
            if member is not None and member.vkey != vkey:
                raise IntegrityError(f"The log {origin} has another key than before.", status=66)
            if member is None:
                self._members[origin] = Member(vkey, 0)
                await asyncio.to_thread(self._trust)
        await self.tell()
        await self._log.sync()

    async def tell(self) -> None:
        """Say of every member how far it has come since the last leaf about it."""
        async with self._lock:
            for found in await asyncio.to_thread(self._read):
                self._tell(found)

    def _tell(self, found: Checkpoint) -> None:
        member = self._members[found.origin]
        if found.size > member.size:
            self._members[found.origin] = Member(member.vkey, found.size)
            root = b64encode(found.root).decode()
            told: dict[str, Json] = {"origin": found.origin, "size": found.size, "root": root, "vkey": member.vkey}
            self._log.append("log.member", told)

    def _read(self) -> list[Checkpoint]:
        """The checkpoints of all members that are there. Raises IntegrityError for one that its key did not sign."""
        notes = [(newest_shard(path) / "checkpoint").read_bytes() for _, path in places(self._log.directory)]
        named = ((note.partition(b"\n")[0].decode(errors="replace"), note) for note in notes)
        return [
            open_checkpoint(note, Verifier.parse(self._members[origin].vkey))
            for origin, note in named
            if origin in self._members
        ]

    def _trust(self) -> None:
        """The trust file to be copied away names every log."""
        keys = [self._log.vkey, *(member.vkey for _, member in sorted(self._members.items()))]
        path: Path = self._log.directory / "trust.txt"
        write_file(path, ("".join(f"log {key}\n" for key in keys) + "quorum none\n").encode(), mode=0o644)
        sync_directory(path.parent)
