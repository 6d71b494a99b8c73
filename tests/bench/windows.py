"""Windows: a way to the database at work for a moment, with the processor time that it and everybody else used.

Each round gives every way one window, in shuffled order, so that noise of the machine hits everybody alike. What it
costs to open connections is taken off, since a window would otherwise blame it on the transactions.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from claims import Rounds, Window

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1
QUIET = 0.002
"""A way has settled when it used less than this share of a core for a moment."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a load did: ``count`` things at ``rate`` a second."""

    count: int
    rate: float


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the database; ``pid`` is the process whose CPU time is its cost, with the processes it started."""

    name: str
    port: int
    user: str
    password: str
    database: str
    pid: int | None = None
    tls: bool = False

    def cpu(self) -> float:
        """CPU seconds used so far, with all threads and processes."""
        return sum(self.threads().values())

    def threads(self) -> dict[str, float]:
        """The same by thread, as ``name-id``."""
        if self.pid is None:
            return {}
        threads = (thread for pid in family(self.pid) for thread in Path(f"/proc/{pid}/task").iterdir())
        return {
            f"{(thread / 'comm').read_text().strip()}-{thread.name}": _nanoseconds(thread) / 1e9 for thread in threads
        }


def family(root: int) -> set[int]:
    """A process and all that it started, and they, while they live."""
    parents = {pid: int(words[1]) for pid, words in _processes()}
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def rounds(
    load: str, ways: Iterable[Way], work: Callable[[Way], Done], count: int, opening: Callable[[Way], Done] | None
) -> Rounds:
    """``count`` windows of every way; ``opening`` is the same work for no more than its first transactions."""
    ways = list(ways)
    spent = {way.name: _spent(way, opening) for way in ways} if opening else {}
    found: Rounds = {way.name: [] for way in ways}
    for _ in range(count):
        for way in random.sample(ways, len(ways)):
            one = window(way, work, spent.get(way.name, (0, 0.0)))
            found[way.name].append(one)
            told = f"{one.rate:12,.0f}/s {one.cost:10,.1f} µs"
            print(f"  {load:28} {way.name:20}{told} {one.foreign:5.0%} foreign", file=sys.stderr, flush=True)
    return found


def window(way: Way, work: Callable[[Way], Done], opened: tuple[int, float] = (0, 0.0)) -> Window:
    """One window; ``opened`` are the transactions and CPU seconds of opening connections, which are taken off."""
    _settle(way)
    before, machine = way.cpu(), _Machine()
    done = work(way)
    foreign = machine.foreign()
    _settle(way)
    if done.count < 20 * opened[0]:  # the difference would be noise: let the transactions bear it all
        opened = (0, 0.0)
    return Window(done.rate, (way.cpu() - before - opened[1]) / max(done.count - opened[0], 1) * 1e6, foreign)


def _spent(way: Way, opening: Callable[[Way], Done]) -> tuple[int, float]:
    """What opening costs once caches are warm."""
    opening(way)
    _settle(way)
    before = way.cpu()
    count = opening(way).count
    _settle(way)
    return count, way.cpu() - before


def _settle(way: Way, moment: float = 0.03, patience: float = 2.0) -> None:
    """Until the way has nothing left to do from before."""
    until = time.monotonic() + patience
    used = way.cpu()
    while way.pid is not None and time.monotonic() < until:
        time.sleep(moment)
        before, used = used, way.cpu()
        if used - before < moment * QUIET * CORES:
            return


class _Machine:
    """The processor time of the machine from now on, and how much of it was not ours."""

    def __init__(self) -> None:
        self._at, self._busy, self._ours = time.monotonic(), _busy(), _ours()

    def foreign(self) -> float:
        """The share of all cores that others used, the hypervisor's other guests among them."""
        elapsed = time.monotonic() - self._at
        return max(_busy() - self._busy - (_ours() - self._ours), 0.0) / (elapsed * CORES)


def _busy() -> float:
    """Seconds that all cores worked or were taken away (proc(5): user nice system idle iowait irq softirq steal)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def _ours() -> float:
    """Seconds of this process and all that it started, ended children included (proc(5): fields 14 to 17)."""
    mine = family(os.getpid())
    return sum(sum(map(int, words[11:15])) for pid, words in _processes() if pid in mine) / TICKS


def _processes() -> list[tuple[int, list[str]]]:
    """Every process and the words of its status after the name: state, parent, ..."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append((int(path.parent.name), path.read_text().rpartition(")")[2].split()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _nanoseconds(thread: Path) -> int:
    """Time on a processor (Documentation/scheduler/sched-stats.rst)."""
    return int((thread / "schedstat").read_text().split()[0])
