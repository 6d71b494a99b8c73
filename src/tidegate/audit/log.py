"""The audit log of one gateway: facts in, evidence out.

A leaf is in the kernel when ``append`` returns and durable when the group commit that covers it is over; enforcement
waits for the one or the other before anything takes effect. Invariants: indices have no gap; nothing is acknowledged
that was not synced; the first failure is final.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from tidegate.clock import Clock
from tidegate.errors import LogFailure
from tidegate.model.event import KINDS, Json

from .entry import decode, encode
from .files import hold, make_directory, refuse_others, write_file
from .keys import KeyFile
from .origin import origin_of
from .recover import check, open_ends
from .scan import Scan, repair, scan
from .seal import COMPARTMENTS, Recipients, Vault
from .sealed import SealedStore
from .settle import ChunkSink, Settler
from .shard import Shard
from .tiles import WIDTH
from .tree import leaf_hash
from .waiters import Waiter, Waiters, again
from .wal import CHUNK, LEAF, OPENING, Wal, shard_id
from .writer import Writer, failure

SEAL_AFTER = 1.0
"""Seconds from the first leaf that no checkpoint covers to the next checkpoint."""

HEARTBEAT = 10.0
"""Seconds without a leaf after which one says that the gateway is alive."""

_OWN = frozenset({"v", "i", "k", "t", "m", "b", "gw", "c"})


class Log:
    """One log in one data directory, held by one process. All but ``vault`` belongs to the event loop's thread."""

    def __init__(self, directory: Path, lock: int, origin: str, gateway: str, clock: Clock) -> None:
        self.directory = directory
        self.origin = origin
        self.size = self.written = 0
        self._lock = lock
        self._gateway = gateway
        self._clock = clock
        self._boot = clock.session_id()
        self._boot_name = str(self._boot)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._marked = False
        self._waiters = Waiters()
        self._sealing: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._last = 0.0

    @property
    def durable(self) -> int:
        """The sequence number up to which everything is known to be durable."""
        return self._waiters.durable

    @property
    def failed(self) -> LogFailure | None:
        """Why nothing can be appended any more; final."""
        return self._waiters.failed

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        organisation: str,
        gateway: str,
        clock: Clock,
        recipients: Recipients,
        chunks: ChunkSink | None = None,
        segment: int = 64 * 2**20,
    ) -> Log:
        """Take the data directory, recover what is in it, begin the log if there is none.

        Everything written here is durable on return. Raises ConfigError (``data.locked`` when another gateway has the
        directory), IntegrityError (status 65 corrupt, 66 cut back) and LogFailure.
        """
        with contextlib.ExitStack() as stack:
            try:
                make_directory(directory)
                refuse_others(directory)
                lock = hold(directory / "lock")
                stack.callback(os.close, lock)
                origin = origin_of(directory, organisation, gateway, clock)
                log = cls(directory, lock, origin, gateway, clock)
                log._recover(organisation, recipients, chunks, segment)
            except OSError as error:
                raise failure(error) from error
            stack.pop_all()
        return log

    def _recover(self, organisation: str, recipients: Recipients, chunks: ChunkSink | None, segment: int) -> None:
        for name in ("keys", "wal"):
            make_directory(self.directory / name)
        keys = KeyFile(self.directory / "keys", self.origin)
        self.vkey = keys.key.verifier.vkey
        self._recipients = recipients
        self._vault = self.vault(self._boot)
        name = self.origin.rpartition("/")[2]
        self._shard = Shard(self.directory / "log" / name, keys.key)
        self._shard.load()
        found = scan(self.directory / "wal", shard_id(self.origin))
        self.size = check(found, self._shard, established=keys.established)
        segments = repair(found)
        self._wal = Wal(self.directory / "wal", shard_id(self.origin), segments, written=found.written, size=segment)
        self._settler = Settler(self._shard, SealedStore(self.directory / "sealed" / name), chunks)
        self._writer = Writer(self._wal, self._settler, self._waiters.succeed, self._waiters.fail)
        self.written = found.written
        self._settler.restore(found, self._shard.size)
        if not self.size:
            self._begin(organisation)
        self._close_open_ends(found, chunks)
        self._writer.seal()
        self._writer.turn()
        keys.establish()

    def _begin(self, organisation: str) -> None:
        """The first leaf, and the trust policy to be copied away."""
        write_file(self.directory / "trust.txt", f"log {self.vkey}\nquorum none\n".encode(), mode=0o644)
        fields: dict[str, Json] = {"prev_origin": None, "prev_size": 0, "prev_root": None}
        self.append("log.genesis", {"org": organisation, "reason": "new", "vkey": self.vkey, **fields})

    def _close_open_ends(self, found: Scan, chunks: ChunkSink | None) -> None:
        """Say what the last stop, if it was none of ours, left open and what it cost; pin what was recorded."""
        closings = list(open_ends(self.recent(0)).closings())
        for kind, fields in closings:
            if kind == "session.end" and chunks is not None:
                seals = chunks.seals(str(fields["sid"])).items()
                fields["rec"] = {track: {"frames": frames, "root": root} for track, (frames, root) in seals}
            self.append(kind, fields)
        clean = decode(self.leaf(self.size - 1))["k"] in ("log.stop", "log.genesis")
        if found.dropped or found.lost or not clean:
            tail: dict[str, Json] = {"dropped_bytes": len(found.dropped), "sha256": sha256(found.dropped).hexdigest()}
            self.append("log.recovered", {**tail, "lost": found.lost, "closed": len(closings)})

    def vault(self, sid: uuid.UUID) -> Vault:
        """Fresh keys for session ``sid``, wrapped and durable. Blocks: call it in a thread. Raises OSError."""
        return Vault.create(self.directory / "keys", sid, self._recipients)

    def append(
        self,
        kind: str,
        fields: Mapping[str, Json] | None = None,
        *,
        private: Mapping[str, bytes] | None = None,
        vault: Vault | None = None,
    ) -> int:
        """Add a leaf; it has reached the kernel when its index is given back.

        ``private`` maps compartments to plaintext that the leaf only commits to, sealed by ``vault`` (the gateway's
        own when None). Raises LogFailure, and ValueError for an unknown kind or a leaf that cannot be written.
        """
        if kind not in KINDS or (fields and not _OWN.isdisjoint(fields)):
            raise ValueError(f"{kind} with {sorted(fields or ())} is not a leaf")
        index, commitments, records = self.size, dict[str, Json](), []
        for compartment, plaintext in (private or {}).items():
            if compartment not in COMPARTMENTS:
                raise ValueError(f"there is no compartment {compartment!r}")
            commitment, record = (vault or self._vault).commit(index, compartment, plaintext)
            commitments[compartment] = b64encode(commitment).decode()
            records.append((OPENING, record, leaf_hash(record)))
        entry = encode(self._leaf(kind, index, fields or {}, commitments))
        records.append((LEAF, entry, leaf_hash(entry)))
        self._shard.fresh[index] = entry
        self._write(records, index)
        self.size = index + 1
        if self._loop is not None:
            self._last = self._loop.time()
            self._sealing = self._sealing or self._loop.call_later(SEAL_AFTER, self._seal)
        return index

    def _leaf(self, kind: str, index: int, fields: Mapping[str, Json], commitments: dict[str, Json]) -> dict[str, Json]:
        leaf: dict[str, Json] = {
            **fields,
            "v": 1,
            "i": index,
            "k": kind,
            "t": self._clock.now(),
            "m": self._clock.monotonic(),
            "b": self._boot_name,
            "gw": self._gateway,
        }
        if commitments:
            leaf["c"] = commitments
        return leaf

    def append_chunk(self, frame: bytes) -> None:
        """Add a finished, sealed frame of a recording; it has reached the kernel on return. Raises LogFailure."""
        self._write([(CHUNK, frame, leaf_hash(frame))])

    def _write(self, records: list[tuple[int, bytes, bytes]], leaf: int | None = None) -> None:
        if self.failed is not None:
            raise again(self.failed)
        try:
            written = self._wal.append(records, leaf)
        except OSError as error:
            self._waiters.fail(failure(error))
            raise failure(error) from error
        self._settler.submit(written, records)
        self.written = written
        if self._loop is None:
            self._writer.dirty()
        elif not self._marked:
            self._marked = True
            self._loop.call_soon(self._mark)

    def _mark(self) -> None:
        """Wake the writer once for all that one turn of the loop wrote: fewer, larger commits."""
        self._marked = False
        self._writer.dirty()

    def when_durable(self, written: int, callback: Waiter) -> None:
        """Call ``callback`` once record ``written`` is durable (None) or the log has failed; now if that is known."""
        self._waiters.when_durable(written, callback)

    async def sync(self) -> None:
        """Everything written so far is durable on return. Raises LogFailure."""
        done: asyncio.Future[LogFailure | None] = asyncio.get_running_loop().create_future()
        self.when_durable(self.written, lambda error: None if done.done() else done.set_result(error))
        error = await done
        if error is not None:
            raise again(error)

    def on_failure(self, callback: Callable[[LogFailure], None]) -> None:
        """Call ``callback`` on the loop when the log fails."""
        self._waiters.on_failure(callback)

    def room(self) -> float:
        """The free share of the file system, 0 to 1."""
        room = os.statvfs(self.directory)
        return room.f_bavail / room.f_blocks

    def start(self) -> None:
        """Begin group commit, checkpoints and heartbeats on the running loop."""
        self._loop = self._waiters.loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._waiters.on_failure(self._cancel_timers)
        self._writer.start()
        self._writer.seal()
        self._beating = self._loop.call_later(HEARTBEAT, self._beat)

    async def stop(self, reason: str) -> None:
        """Say farewell, sign a last checkpoint, let go of the directory. Raises LogFailure when that cannot be."""
        intact = self.failed is None
        try:
            if intact:
                self.append("log.stop", {"reason": reason})
                await self.sync()
        finally:
            self._cancel_timers()
            self._writer.finish()
            if self._writer.is_alive():
                await asyncio.to_thread(self._writer.join)
            self.close()
        if intact and self.failed is not None:
            raise again(self.failed)

    def close(self) -> None:
        """Let go of the directory without a word, as a crash would; for a log that was never started."""
        self._settler.close()
        self._wal.close()
        os.close(self._lock)

    def leaf(self, index: int) -> bytes:
        """The entry of leaf ``index``. Raises IndexError, and IntegrityError when it cannot be read."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        return next(self._shard.entries(index, index + 1))

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """The entries of leaves ``start`` to ``stop``, as far as there are any. Raises IntegrityError."""
        return self._shard.entries(max(0, start), min(stop, self.size))

    def recent(self, since: int) -> Iterator[dict[str, Json]]:
        """Leaves not older than ``since`` (Unix microseconds), newest first."""
        stop = self.size
        while stop:
            start = (stop - 1) // WIDTH * WIDTH
            page = [decode(entry) for entry in self.leaves(start, stop)]
            young = [leaf for leaf in page if int(str(leaf["t"])) >= since]
            yield from reversed(young)
            stop = start if young else 0

    def checkpoint(self) -> bytes:
        """The latest checkpoint, a signed note."""
        return self._shard.sealed.note

    def proof(self, index: int) -> list[bytes]:
        """The inclusion proof of leaf ``index`` under ``checkpoint()``. Raises ValueError when it is not sealed yet."""
        return self._shard.proof(index)

    def _seal(self) -> None:
        self._sealing = None
        self._writer.seal()

    def _beat(self) -> None:
        """A heartbeat when idle; then again when the next could be due."""
        if self._loop is None or self.failed is not None:
            return
        if self._loop.time() - self._last >= HEARTBEAT:
            with contextlib.suppress(LogFailure):  # the listeners hear of it
                self.append("log.heartbeat")
        self._beating = self._loop.call_at(self._last + HEARTBEAT, self._beat)

    def _cancel_timers(self, _failure: LogFailure | None = None) -> None:
        for timer in (self._sealing, self._beating):
            if timer is not None:
                timer.cancel()
