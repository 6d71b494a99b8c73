"""The page that `make bench` prints: targets and what became of them, every way by load, the machine, what it means."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from claims import Rounds, costs, rates, ratios, shown
from rows import Row

WORDS = """# Benchmark

`make bench` measures what Tidegate costs while it does everything: the token was checked, each statement is parsed,
judged and logged, tagged columns are masked, both directions are recorded and encrypted, an update waits until its
intent is on disk and a read's rows do. A row counts only if `tidegate audit verify` holds on the log of that very run.
haproxy only copies bytes; pgbouncer (session mode) speaks the protocol and keeps connections; neither decides, masks,
records or proves anything, so they show what being in between costs at least.

![Throughput and CPU time of each way](../images/benchmark.svg)

## Targets

*Measured* is the median of {count} rounds, with the lowest and highest round in brackets; a ratio is taken within a
round. The target in brackets is the one aimed at beyond. *Foreign* is the share of all cores that other work on this
machine, the hypervisor's other guests included, used meanwhile (median); from about 10 % on, believe the CPU rows only.
Differences below 15 % are not resolved.
"""
MEANING = """## What is run

pgbench (scale 1) keeps 8 or 32 connections busy over loopback, reading one row by its primary key in each transaction
(the update changes one), in windows of {seconds} s. In each round every way has one window, in shuffled order. What it
costs to open the connections is measured apart and taken off. *CPU* is the proxy's own processor time, all threads
and processes, for each transaction, row or byte; it is the figure that carries over to other machines, because pgbench
and the database share the cores with the proxy here. Rows and bytes are read by a bare socket. The server syncs its
own log.

- **a**: the upstream is a small C program that answers pgbench's select from memory, so that the database does not hide
  what the proxy costs. Logging in and the catalog are a real server's behind it.
- **b**: a real server behind each way.
- **c**: the time of each transaction by pgbench's own log, minus the direct one; the disk's sync is a write of 4 KiB
  and `fdatasync` in a preallocated file, alone, in the same round.
- **d**: 10,000 rows of six text columns; in one table an e-mail address and a telephone number are tagged.
- **e**: `COPY ... TO STDOUT` of about 105 MB of text, recorded.
- **f**: as b, with TLS between agent and proxy.
- **g**: memory is the growth of the process (PSS) while the sessions open and ask once. "The same" means within 15 %.
- **h**: one gateway with one worker process and one with two, which share these cores with pgbench and the server.
- **i**: 100 sessions, each in the middle of a statement, are ended by one call of the API. The time runs until the last
  client's socket is closed and `pg_stat_activity` shows none of the statements.
- **j**: `redis-benchmark` reads one key of a Redis on loopback; its CPU is that of the proxy for each command.
- **k**: `wrk` gets one document over kept connections from an nginx that has it in memory; haproxy speaks HTTP here.

## Repeat it

```console
make bench
make bench ARGS=--quick
make bench ARGS="--only a,b"
make bench ARGS=--write
```

The first prints this page, the second takes two minutes and says less, the third runs some rows, the last writes this
page and its chart. The compiled build is measured if there is one in `.venv-compiled`; `TIDEGATE_PURE=1` measures
plain Python. `.venv/bin/python tests/bench/hotspots.py` shows which functions the time goes to.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row: it counts unless something failed or the build lacks what it needs."""

    title: str
    row: Row
    failure: str = ""

    @property
    def counts(self) -> bool:
        """Whether nothing is wrong with the row."""
        return not self.failure


@dataclass(frozen=True, slots=True)
class Machine:
    """What everything ran on: programs, build, load average before the run, seconds that the run took."""

    programs: str
    build: str
    load: float
    took: float

    def __str__(self) -> str:
        return (
            f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, {_memory():.0f} GiB, Linux "
            f"{platform.release()}, Python {platform.python_version()}, {self.programs}. Measured is {self.build}. "
            f"Load average before the run: {self.load:.1f}. The run took {self.took / 60:.0f} minutes."
        )


def page(outcomes: Mapping[str, Outcome], machine: Machine, seconds: int, count: int) -> str:
    """The whole page."""
    targets = "\n".join(line for letter, outcome in outcomes.items() for line in _targets(letter, outcome))
    ways = "\n".join(
        _way(load, name, found)
        for outcome in outcomes.values()
        if outcome.counts
        for load, found in outcome.row.measured.items()
        for name in found
    )
    return "\n".join(
        [
            WORDS.format(count=count),
            "| | claim | target | measured | verdict | foreign |\n|---|---|---:|---:|---|---:|",
            targets,
            f"\n{machine}\n",
            "## Every way\n",
            "| load | way | a second | of direct | CPU µs each |\n|---|---|---:|---:|---:|",
            f"{ways}\n",
            MEANING.format(seconds=seconds),
        ]
    )


def _targets(letter: str, outcome: Outcome) -> Iterator[str]:
    if outcome.failure:
        yield f"| {letter} | {outcome.title[3:]} | | | not measured: {outcome.failure} | |"
        return
    for result in outcome.row.results:
        unit = result.target.unit
        spread = f" ({shown(min(result.figures), unit)} to {shown(max(result.figures), unit)})"
        yield (
            f"| {letter} | {result.name} | {result.target} | {shown(result.figure, unit)}"
            f"{spread if len(result.figures) > 1 else ''} | {result.verdict} | {result.foreign:.0%} |"
        )


def _way(load: str, name: str, found: Rounds) -> str:
    windows = found[name]
    beside = found.get("direct")
    of_direct = f"{statistics.median(ratios(rates(windows), rates(beside))):.1%}" if beside else ""
    cost = statistics.median(costs(windows))
    return (
        f"| {load} | {name} | {statistics.median(rates(windows)):,.0f} | {of_direct} | "
        f"{shown(cost, '').strip() if cost else ''} |"
    )


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory() -> float:
    """GiB of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
