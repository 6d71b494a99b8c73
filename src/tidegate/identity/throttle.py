"""Guessing made slow: who guesses waits longer each time, and nobody else does.

Each attempt at what can be guessed (a password) counts before it is checked, so that many at once gain nothing; success
takes the count away. What is slowed is a person's name as tried from one source, and a source that tries many names.
A source that has succeeded for a name before is not slowed for what others at that source do. Attempts on one name from
many sources at once only wait a moment each: whoever has the right secret and a source of their own always gets in.
What cannot be guessed (a token, a one-time code, a signature) is checked at once; only the answer "no" comes late.

Counts fade with time. Each table has a limit and forgets what was used longest ago. Addresses of IPv6 are taken by
their /64, which is what one household gets. Event loop only.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tidegate.clock import Clock
from tidegate.errors import AgentError

PAIR_FREE, SOURCE_FREE, NAME_FREE = 5, 30, 20
"""Failures without a wait: of one name from one source, of a source, of a name from everywhere."""

SECOND_FREE = 10
"""One-time passwords of a name, from everywhere, that may be wrong beside the right password: it is known to whoever
sends them, and what is left has six digits."""

LONGEST = 60
MOMENT = 2.0
"""Seconds that one waits at most; and for a name that is tried from everywhere."""

FADES = 60
"""Seconds in which one failure is forgotten."""

TABLE = 10_000
"""Most entries of a table."""

LATE = 16
LATEST = 4.0
"""Most answers that come late at a time, and how late at most (seconds)."""

STEP = 10
"""An alarm goes off each time so many more failures have been counted."""


@dataclass(slots=True)
class _Count:
    level: float
    moment: int


class _Table:
    """Counts by key, each fading; the least recently used go first."""

    def __init__(self, free: int) -> None:
        self.free = free
        self._counts: OrderedDict[tuple[str, ...], _Count] = OrderedDict()

    def level(self, key: tuple[str, ...], now: int) -> float:
        count = self._counts.get(key)
        return 0.0 if count is None else max(0.0, count.level - (now - count.moment) / (FADES * 1_000_000))

    def wait(self, key: tuple[str, ...], now: int) -> float:
        """Seconds from now until the next attempt."""
        level = math.ceil(self.level(key, now))
        if level < self.free:
            return 0.0
        since = (now - self._counts[key].moment) / 1_000_000
        longest: float = min(LONGEST, 2 ** min(level - self.free, 10))
        return max(0.0, longest - since)

    def add(self, key: tuple[str, ...], now: int) -> float:
        """Count one more; gives the level."""
        level = self.level(key, now) + 1
        self._counts[key] = _Count(level, now)
        self._counts.move_to_end(key)
        if len(self._counts) > TABLE:
            self._counts.popitem(last=False)
        return level

    def take(self, key: tuple[str, ...], now: int, much: float) -> None:
        """Count so much less."""
        if self.level(key, now) > much:
            self._counts[key].level -= much
        else:
            self._counts.pop(key, None)


class Throttle:
    """``alarm(what, name, source, count)`` hears that somebody guesses: ``what`` is ``source`` or ``identity``."""

    def __init__(self, clock: Clock, alarm: Callable[[str, str, str, int], None]) -> None:
        self._clock = clock
        self._alarm = alarm
        self._pairs = _Table(PAIR_FREE)
        self._sources = _Table(SOURCE_FREE)
        self._names = _Table(NAME_FREE)
        self._seconds = _Table(SECOND_FREE)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._late = 0

    @contextlib.asynccontextmanager
    async def attempt(self, name: str, source: str) -> AsyncIterator[None]:
        """One try at a secret of ``name``, which counts as failed unless the block ends without an error.

        Raises AgentError ``auth.slowed`` when it is too early; its detail ``retry_after`` is in seconds.
        """
        place = network(source)
        pair, now = (name, place), self._clock.monotonic()
        known = pair in self._known
        wait = max(self._pairs.wait(pair, now), 0.0 if known else self._sources.wait((place,), now))
        if wait > 0:
            raise _slowed(wait)
        crowded = self._names.level((name,), now) >= NAME_FREE and not known
        self._count(name, place, now)
        if crowded:
            await asyncio.sleep(MOMENT)
        yield
        self._passed(name, place)

    def may_guess(self, name: str, source: str) -> bool:
        """Whether a one-time password counts that came with the right password; from where ``name`` was before, always.

        Addresses are cheap: for what can be guessed in an afternoon from many of them, all of them together are one.
        """
        known = (name, network(source)) in self._known
        return known or self._seconds.wait((name,), self._clock.monotonic()) <= 0

    def missed(self, name: str, source: str) -> None:
        """A one-time password was wrong beside the right password."""
        level = self._seconds.add((name,), self._clock.monotonic())
        self._tell("identity", level, name, network(source), SECOND_FREE)

    async def rebuke(self, source: str) -> None:
        """After a failure with what cannot be guessed: count it, and return late if the source fails often."""
        place = network(source)
        now = self._clock.monotonic()
        wait = min(LATEST, self._sources.wait((place,), now))
        self._tell("source", self._sources.add((place,), now), "", place, SOURCE_FREE)
        if wait > 0 and self._late < LATE:
            self._late += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._late -= 1

    def _count(self, name: str, place: str, now: int) -> None:
        self._pairs.add((name, place), now)
        self._tell("source", self._sources.add((place,), now), name, place, SOURCE_FREE)
        self._tell("identity", self._names.add((name,), now), name, place, PAIR_FREE)

    def _tell(self, what: str, level: float, name: str, place: str, free: int) -> None:
        count = round(level)
        if count == free or (count > free and count % STEP == 0):
            self._alarm(what, name, place, count)

    def _passed(self, name: str, place: str) -> None:
        now = self._clock.monotonic()
        self._pairs.take((name, place), now, LONGEST)
        self._sources.take((place,), now, 1)
        self._names.take((name,), now, 1)
        self._known[name, place] = None
        self._known.move_to_end((name, place))
        if len(self._known) > TABLE:
            self._known.popitem(last=False)


def network(source: str) -> str:
    """The address of a peer (``host`` or ``host:port``) that stands for where it is."""
    address = _address(source) or _address(source.rpartition(":")[0].removeprefix("[").removesuffix("]"))
    if address is None:
        return source[:64]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _slowed(wait: float) -> AgentError:
    seconds = math.ceil(wait)
    return AgentError(
        "there were too many wrong attempts",
        hint=f"Try again in {seconds} s.",
        code="auth.slowed",
        details={"retry_after": seconds},
    )
