"""The audit log of one gateway: facts in, evidence out.

A leaf is in the kernel when ``append`` returns and durable when the group commit that covers it is over; enforcement
waits for the one or the other before anything takes effect. A leaf that is only *staged* reaches the kernel at the end
of the loop's turn, with all that every session did in it, and what must not happen before (``after_write``) happens
then. Invariants: indices have no gap; nothing is acknowledged that was not synced; the first failure is final.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from threading import get_ident

from tidegate.clock import Clock
from tidegate.errors import LogFailure
from tidegate.model.event import KINDS, Json

from .entry import decode, encode
from .files import hold, make_directory, refuse_others, write_file
from .form import Form, Values
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

LATER = 0.05
"""Seconds that what nobody waits for may stay undurable, and anything out of its final place."""

PAUSE = 0.001
"""Seconds for others between two slices of carrying."""

STAGED = 1024 * 1024
"""Bytes that are written without waiting for the end of the turn."""

HEARTBEAT = 10.0
"""Seconds without a leaf after which one says that the gateway is alive."""

_OWN = frozenset({"v", "i", "k", "t", "m", "b", "gw", "c"})


class Log:
    """One log in one data directory, held by one process. All but ``vault`` belongs to the event loop's thread.

    For readers of several logs it is the gateway's own, ``worker`` 0.
    """

    worker = 0

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
        self._own_thread = 0
        self._turning = False
        self._steps: list[tuple[Callable[[bytes], None], bytes]] = []
        self._waiters = Waiters()
        self._sealing: asyncio.TimerHandle | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._later: asyncio.TimerHandle | None = None
        self._last = 0.0

    @property
    def durable(self) -> int:
        """The sequence number up to which everything is known to be durable."""
        return self._waiters.durable

    @property
    def staged(self) -> int:
        """The sequence number of the last record, in the kernel or not yet."""
        return self._wal.staged

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
        """Add a leaf; it has reached the kernel when its index is given back. Raises what ``stage`` raises.

        Once started, from the loop's own thread only: two threads at once would spoil what is staged.
        """
        if self._loop is not None and get_ident() != self._own_thread:
            raise RuntimeError("the log is written to from its loop only")
        index = self.stage(kind, fields, private=private, vault=vault)
        self.flush()
        return index

    def stage(
        self,
        kind: str,
        fields: Mapping[str, Json] | None = None,
        *,
        private: Mapping[str, bytes] | None = None,
        vault: Vault | None = None,
    ) -> int:
        """Take a leaf, to be written with the next ``flush``; gives its index.

        ``private`` maps compartments to plaintext that the leaf only commits to, sealed by ``vault`` (the gateway's
        own when None). Raises LogFailure, and ValueError for an unknown kind or a leaf that cannot be written.
        """
        if kind not in KINDS or (fields and not _OWN.isdisjoint(fields)):
            raise ValueError(f"{kind} with {sorted(fields or ())} is not a leaf")
        commitments, openings = dict[str, Json](), []
        for compartment, plaintext in (private or {}).items():
            if compartment not in COMPARTMENTS:
                raise ValueError(f"there is no compartment {compartment!r}")
            commitment, opening = (vault or self._vault).commit(self.size, compartment, plaintext)
            commitments[compartment] = b64encode(commitment).decode()
            openings.append(opening)
        return self._stage(encode(self._leaf(kind, self.size, fields or {}, commitments)), openings)

    def form(
        self,
        kind: str,
        fields: Mapping[str, Json],
        slots: Sequence[str],
        compartments: Sequence[str],
        commitments: Mapping[str, str],
    ) -> Form:
        """A leaf to be staged many times, see ``stage_form``; ``commitments`` stay as they are. Raises ValueError."""
        if kind not in KINDS or not _OWN.isdisjoint(fields):
            raise ValueError(f"{kind} with {sorted(fields)} is not a leaf")
        return Form.of(self._leaf(kind, 0, fields, dict(commitments)), slots, compartments)

    def stage_form(
        self, form: Form, numbers: tuple[int, ...], private: tuple[tuple[str, bytes], ...], vault: Vault
    ) -> int:
        """As ``stage``; ``numbers`` go into the form's slots, ``private`` into its compartments. Raises LogFailure."""
        values: Values = (self.size, self._clock.now(), self._clock.monotonic(), *numbers)
        for compartment, plaintext in private:
            commitment, opening = vault.commit(self.size, compartment, plaintext)
            values += (b2a_base64(commitment, newline=False),)
            self._take(OPENING, opening, leaf_hash(opening))
        return self._stage(form.fill(values), ())

    def append_chunk(self, frame: bytes, digest: bytes) -> None:
        """Stage a finished, sealed frame of a recording, and ``digest``, its leaf hash. Raises LogFailure."""
        self._take(CHUNK, frame, digest)

    def flush(self) -> None:
        """Everything staged has reached the kernel on return, and what waited for that is done. Raises LogFailure."""
        if self._waiters.failed is not None:
            raise again(self._waiters.failed)
        try:
            self._wal.flush()
        except OSError as error:
            self._waiters.fail(failure(error))
            raise failure(error) from error
        self.written = self._wal.written
        if self._loop is None:
            self._writer.dirty()
        steps, self._steps = self._steps, []
        for step, data in steps:
            step(data)

    def after_write(self, step: Callable[[bytes], None], data: bytes) -> None:
        """Call ``step`` with ``data`` once everything staged so far is in the kernel, in order; never if that fails.

        This is how bytes leave the gateway: what all sessions do in one turn of the loop is one write.
        """
        self._steps.append((step, data))
        self._due()

    def _stage(self, entry: bytes, openings: Sequence[bytes]) -> int:
        index = self.size
        for opening in openings:
            self._take(OPENING, opening, leaf_hash(opening))
        self._shard.fresh[index] = entry
        self._take(LEAF, entry, leaf_hash(entry), index)
        self.size = index + 1
        if self._loop is not None:
            self._last = self._loop.time()
            if self._sealing is None:
                self._sealing = self._loop.call_later(SEAL_AFTER, self._seal)
        return index

    def _take(self, kind: int, payload: bytes, digest: bytes, leaf: int | None = None) -> None:
        if self._waiters.failed is not None:
            raise again(self._waiters.failed)
        self._settler.submit((self._wal.stage(kind, payload, digest, leaf), kind, payload, digest))
        if self._wal.waiting > STAGED and kind != OPENING:  # which is written with its leaf, to one segment
            self.flush()
        if not self._turning:
            self._due()

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

    def _due(self) -> None:
        """Have the end of this turn of the loop noticed."""
        if not self._turning and self._loop is not None:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """All that the sessions did in one turn is written at once, and made durable if somebody waits for that."""
        self._turning = False
        with contextlib.suppress(LogFailure):  # the listeners hear of it
            self.flush()
            if self._waiters.waiting:
                self._commit()
            if self._later is None and self._loop is not None:
                self._later = self._loop.call_later(LATER, self._catch_up)

    def _commit(self) -> None:
        if self.written > self.durable and self._writer.commit():
            self._waiters.release(self._writer.durable)

    def _catch_up(self) -> None:
        """Nobody waits, but what is written does not stay undurable for long, and finds its final place."""
        self._later = None
        if self._loop is None or self.failed is not None:
            return
        self._commit()
        if not self._writer.carry():
            self._later = self._loop.call_later(PAUSE, self._catch_up)
        elif self._writer.settled < self.written:
            self._later = self._loop.call_later(LATER, self._catch_up)

    def when_durable(self, written: int, callback: Waiter) -> None:
        """Call ``callback`` once record ``written`` is durable (None) or the log has failed; now if that is known."""
        self._waiters.when_durable(written, callback)
        self._due()

    async def sync(self) -> None:
        """Everything written so far is durable on return. Raises LogFailure."""
        self.flush()
        done: asyncio.Future[LogFailure | None] = asyncio.get_running_loop().create_future()
        self.when_durable(self.written, lambda error: None if done.done() else done.set_result(error))
        error = await done
        if error is not None:
            raise again(error)

    async def settled(self) -> None:
        """Everything written so far can be read in its final place on return. Raises LogFailure."""
        await self.sync()
        target = self.written
        while self._writer.settled < target:
            if self.failed is not None:
                raise again(self.failed)
            self._writer.carry()
            await asyncio.sleep(PAUSE)

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
        self._own_thread = get_ident()
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
            await asyncio.to_thread(self._writer.finish)
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
        for timer in (self._sealing, self._beating, self._later):
            if timer is not None:
                timer.cancel()
