"""Notices on their way: kept in the store, sent in the background, tried again until they arrive or a day has passed.

Whoever tells something only appends to a list in memory. One task writes letters to the store, sealed; one for each
channel sends them, one at a time and each with a deadline, so that no channel delays another and none delays an agent.
A letter's id is the same whenever the same is told again, and so is what receivers see of it: what was sent and not
written down as sent is sent twice, and can be told apart.

Each attempt is a leaf: ``notice.sent`` or ``notice.failed``, without what the notice says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import orjson
import structlog
from sqlalchemy.exc import SQLAlchemyError

from tidegate.clock import Clock
from tidegate.errors import ConfigError, IntegrityError, LogFailure, Refused, ResourceError
from tidegate.journal import surprise
from tidegate.model.event import Json
from tidegate.model.notice import DROPPED, FAILED, SENT, WAITING, Letter, Notice, notice_of

from .channel import Channel, Thread, Undelivered
from .line import MOST, Line

DEADLINE = 30.0
"""Seconds that one attempt may take."""

GIVE_UP = 24 * 3600
KEEP = 30 * 24 * 3600
"""Seconds after which a letter is given up, and after which what became of it is forgotten."""

SWEEP = 3600.0

logger = structlog.get_logger("tidegate")

Record: TypeAlias = Callable[[str, Mapping[str, Json]], int]
"""Writes a leaf. Raises LogFailure."""


class Shelf(Protocol):
    """Where letters are kept; every method blocks."""

    def put_notice(self, row: Letter) -> None:
        """Write a letter, new or changed."""

    def notice(self, id: str) -> Letter | None:
        """One letter."""

    def notices(
        self, limit: int | None = None, before: int | None = None, states: Sequence[str] = (), prefix: str = ""
    ) -> list[Letter]:
        """Letters made before ``before``, newest first."""

    def drop_notices(self, before: int) -> None:
        """Forget what no longer waits and was made before."""


class Seal(Protocol):
    """What keeps letters from being read or forged in the store."""

    def seal(self, value: bytes, about: str) -> bytes:
        """The sealed value."""

    def open(self, sealed: bytes, about: str) -> bytes:
        """What ``seal`` was given. Raises IntegrityError."""


@dataclass(frozen=True, slots=True)
class _Told:
    channels: tuple[str, ...]
    make: Callable[[], Notice]
    urgent: bool


class Outbox:
    """Event loop only. ``channels`` by name."""

    def __init__(self, shelf: Shelf, seal: Seal, channels: Mapping[str, Channel], clock: Clock, record: Record) -> None:
        self._shelf = shelf
        self._seal = seal
        self._channels = channels
        self._clock = clock
        self._record = record
        self._told: deque[_Told] = deque()
        self._arrived = asyncio.Event()
        self._writing = asyncio.Lock()
        self._lines = {name: Line() for name in channels}
        self._changed = {name: asyncio.Event() for name in channels}

    def put(self, channels: Iterable[str], make: Callable[[], Notice], *, urgent: bool = False) -> None:
        """Tell these channels what ``make`` gives, in a thread and later. Neither blocks nor raises."""
        names = tuple(name for name in dict.fromkeys(channels) if name in self._channels)
        if not names:
            return
        self._told.append(_Told(names, make, urgent))
        if len(self._told) > MOST:
            least = next((place for place, each in enumerate(self._told) if not each.urgent), 0)
            dropped = self._told[least]
            del self._told[least]
            for name in dropped.channels:
                self._alert("notice.dropped", name)
        self._arrived.set()

    async def run(self) -> None:
        """Send until cancelled; what waits is still there at the next start."""
        await asyncio.to_thread(self._load)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_in())
                tasks.create_task(self._sweep())
                for name in self._channels:
                    tasks.create_task(self._serve(name))
        except* LogFailure:
            logger.error("notices.stopped")

    async def drained(self) -> None:
        """What was told is in the store."""
        async with self._writing:
            while self._told:
                await self._write_next()

    async def listing(self, limit: int, before: int | None = None, state: str = "") -> list[Letter]:
        """Letters and what became of them, newest first."""
        states = (state,) if state else ()
        return await asyncio.to_thread(lambda: self._shelf.notices(limit, before, states))

    async def retry(self, id: str) -> Letter:
        """Send one again that was given up, or now one that waits. Raises Refused ``notice.unknown``."""
        row = await asyncio.to_thread(self._shelf.notice, id)
        if row is None or row.channel not in self._lines or row.state == SENT:
            raise Refused("there is no such notice to send", hint="See: tidegate notices ls", code="notice.unknown")
        now = self._clock.now()
        again = replace(row, state=WAITING, due=now, made=row.made if row.state == WAITING else now)
        await asyncio.to_thread(self._shelf.put_notice, again)
        self._lines[row.channel].wake()
        self._join(again, urgent=False)
        return again

    # taking in

    async def _take_in(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self.drained()

    async def _write_next(self) -> None:
        told = self._told[0]
        letters: list[Letter] = []
        try:
            letters = await asyncio.to_thread(self._write, told)
        except SQLAlchemyError as error:
            surprise("notice.unwritten", error)
        # Others may have been pushed out meanwhile, this one too.
        if self._told and self._told[0] is told:
            self._told.popleft()
        for letter in letters:
            self._join(letter, urgent=told.urgent)
            await self._relieve(letter.channel)

    def _write(self, told: _Told) -> list[Letter]:
        """The letters that were not there before. Blocks."""
        notice, now = told.make(), self._clock.now()
        found = []
        for name in told.channels:
            id = f"{name}.{notice.id}"
            if notice.event in self._channels[name].quiet or self._shelf.notice(id) is not None:
                continue
            letter = Letter(id, name, self._sealed(id, notice, {}), WAITING, 0, now, "", now)
            self._shelf.put_notice(letter)
            found.append(letter)
        return found

    async def _relieve(self, name: str) -> None:
        surplus = self._lines[name].surplus()
        if surplus is not None:
            await self._over(replace(surplus, state=DROPPED, error="too many wait"))
            self._alert("notice.dropped", name)

    def _join(self, letter: Letter, *, urgent: bool) -> None:
        self._lines[letter.channel].add(letter, urgent=urgent)
        self._changed[letter.channel].set()

    # sending

    async def _serve(self, name: str) -> None:
        line, changed = self._lines[name], self._changed[name]
        while True:
            changed.clear()
            letter = line.next(self._clock.now())
            if letter is None:
                try:
                    await asyncio.wait_for(changed.wait(), line.until(self._clock.now()))
                except TimeoutError:
                    continue
            else:
                try:
                    await self._attempt(name, letter)
                except SQLAlchemyError as error:
                    surprise("notice.unwritten", error)
                    line.failed(self._clock.now(), 0)

    async def _attempt(self, name: str, letter: Letter) -> None:
        tried = replace(letter, attempts=letter.attempts + 1)
        try:
            notice, thread = await asyncio.to_thread(self._opened, tried)
            async with asyncio.timeout(DEADLINE):
                thread = await self._channels[name].send(notice, thread)
        except Undelivered as error:
            await self._failed(tried, error.why, final=error.final, after=error.after)
        except TimeoutError:
            await self._failed(tried, f"no answer in {DEADLINE:g} seconds")
        except IntegrityError as error:
            await self._failed(tried, error.code, final=True)
        except (ConfigError, ResourceError) as error:
            await self._failed(tried, error.code)
        except Exception as error:  # a fault of ours must not end the telling of everything else
            surprise("notice.fault", error, channel=name)
            await self._failed(tried, "gateway.fault")
        else:
            self._lines[name].wake()
            self._leaf("notice.sent", tried)
            body = await asyncio.to_thread(self._sealed, letter.id, notice, thread)
            await self._over(replace(tried, state=SENT, error="", body=body))

    async def _failed(self, letter: Letter, why: str, *, final: bool = False, after: float = 0) -> None:
        now, line = self._clock.now(), self._lines[letter.channel]
        due = now if final else line.failed(now, after)
        final = final or due > letter.made + GIVE_UP * 1_000_000
        self._leaf("notice.failed", letter, code=why, final=final)
        if final:
            await self._over(replace(letter, state=FAILED, error=why))
            self._alert("notice.failed", letter.channel)
            return
        later = replace(letter, due=due, error=why)
        await asyncio.to_thread(self._shelf.put_notice, later)
        self._join(later, urgent=False)

    async def _over(self, letter: Letter) -> None:
        await asyncio.to_thread(self._shelf.put_notice, letter)
        self._lines[letter.channel].remove(letter.id)

    def _leaf(self, kind: str, letter: Letter, **more: Json) -> None:
        about: dict[str, Json] = {"ap" if letter.about.startswith("ap_") else "of": letter.about}
        self._record(kind, {"ch": letter.channel, **about, "n": letter.attempts, **more})

    def _alert(self, code: str, channel: str) -> None:
        logger.error("notices.trouble", code=code, channel=channel)
        try:
            self._record("alert.raised", {"code": code, "ch": channel})
        except LogFailure:
            return

    async def _sweep(self) -> None:
        while True:
            await asyncio.to_thread(self._shelf.drop_notices, self._clock.now() - KEEP * 1_000_000)
            await asyncio.sleep(SWEEP)

    # what follows blocks

    def _load(self) -> None:
        for letter in reversed(self._shelf.notices(states=(WAITING,))):
            if letter.channel not in self._lines:
                self._shelf.put_notice(replace(letter, state=FAILED, error="no such channel any more"))
                continue
            try:
                urgent = self._opened(letter)[0].urgent
            except IntegrityError:
                urgent = False
            self._lines[letter.channel].add(letter, urgent=urgent)

    def _opened(self, letter: Letter) -> tuple[Notice, Thread]:
        """What it says, and the thread that it continues. Raises IntegrityError."""
        notice = notice_of(self._read(letter)["notice"])
        before = self._shelf.notices(1, states=(SENT,), prefix=f"{letter.channel}.{letter.about}.")
        return notice, self._read(before[0])["thread"] if before else {}

    def _read(self, letter: Letter) -> dict[str, Any]:
        opened: dict[str, Any] = orjson.loads(self._seal.open(letter.body, _about(letter.id)))
        return opened

    def _sealed(self, id: str, notice: Notice, thread: Thread) -> bytes:
        return self._seal.seal(orjson.dumps({"notice": notice.written(), "thread": dict(thread)}), _about(id))


def _about(id: str) -> str:
    return f"notice:{id}"
