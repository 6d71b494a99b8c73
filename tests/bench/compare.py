"""`make bench`: Tidegate with everything on beside a direct connection, haproxy and pgbouncer, all in one run.

Windows are short and their order is shuffled in every round, so that noise of the machine hits everybody alike; a ratio
is taken within one round, and a cell is the median over the rounds. The numbers of Tidegate count only if
``tidegate audit verify`` passes on the log of that very run. The page goes to standard output, progress to standard
error.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ways import Way, proxies, tidegate, verified

from servers import Postgres

UPDATE = """\\set aid random(1, 100000)
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
"""
LOADS = {
    "read, simple protocol": ["-S", "-M", "simple"],
    "read, extended protocol": ["-S", "-M", "extended"],
    "read, prepared": ["-S", "-M", "prepared"],
    "update, prepared": ["-f", "UPDATE", "-M", "prepared"],
}
WORDS = """# Benchmark

`make bench` prints this page. It measures the price of everything that Tidegate does: each statement is parsed, judged
and logged, an update waits until its intent is on disk and a read's rows do, both directions are recorded and
encrypted, and one column of the table is tagged. haproxy only copies bytes; pgbouncer speaks the protocol and keeps
connections; neither decides, masks, records or proves anything, so they show what being in between costs at least.

pgbench (scale 1) keeps {clients} connections busy over loopback, without TLS, reading or updating one row by
its primary key in each transaction, on a database that syncs its own log. Windows of {seconds} s are shuffled
within each of {rounds} rounds. *Of direct* is the median over rounds of the ratio to the direct connection in
the same round; *CPU* is the proxy's own time for one transaction. Everything, pgbench and the database
included, shares the machine's cores, so ratios say more than rates.
"""


@dataclass(frozen=True, slots=True)
class Window:
    """What one way did in one window: transactions per second, and CPU microseconds of the proxy for each."""

    rate: float
    cost: float


Rounds = dict[str, list[Window]]
"""The windows of each way, one a round."""


def main() -> int:
    """Measure and print; exit status 1 if the log of the run does not verify."""
    parser = argparse.ArgumentParser(description="Compare ways to one database.")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    root = Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    root.chmod(0o755)  # the servers run under another account
    try:
        with Postgres("debian", settings=["fsync=on"]) as server:
            measured, holds = _measure(server, root, options)
            version = server.psql("show server_version")
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(_page(measured, options, holds=holds, load=before, version=version))
    return 0 if holds else 1


def _measure(server: Postgres, root: Path, options: argparse.Namespace) -> tuple[dict[str, Rounds], bool]:
    server.psql("create database bench")
    (root / "update.sql").write_text(UPDATE)
    pgbench = [str(server.bin / "pgbench"), "-n"]
    direct = Way("direct", server.port, server.user, server.password, "bench")
    _run([*pgbench, "-i", "-q"], direct)
    with proxies(server, root) as ways:
        gateway, way = tidegate(server, root)
        try:
            measured = {
                name: _rounds([*pgbench, *_flags(flags, root)], name, [*ways, way], options)
                for name, flags in LOADS.items()
            }
        finally:
            gateway.stop()
    return measured, verified(gateway)


def _flags(flags: list[str], root: Path) -> list[str]:
    return [str(root / "update.sql") if flag == "UPDATE" else flag for flag in flags]


def _rounds(pgbench: list[str], load: str, ways: list[Way], options: argparse.Namespace) -> Rounds:
    found: Rounds = {way.name: [] for way in ways}
    for _ in range(options.rounds):
        for way in random.sample(ways, len(ways)):
            before = way.cpu()
            said = _run([*pgbench, "-c", str(options.clients), "-T", str(options.seconds)], way)
            rate, done = re.search(r"tps = ([\d.]+)", said), re.search(r"actually processed: (\d+)", said)
            assert rate and done, said
            window = Window(float(rate[1]), (way.cpu() - before) / max(int(done[1]), 1) * 1e6)
            found[way.name].append(window)
            print(f"  {load:24} {way.name:10} {window.rate:9,.0f}/s", file=sys.stderr, flush=True)
    return found


def _run(pgbench: list[str], way: Way) -> str:
    done = subprocess.run(
        [*pgbench, "-h", "127.0.0.1", "-p", str(way.port), "-U", way.user, way.database],
        env={"PGPASSWORD": way.password, "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{way.name}: {done.stdout}{done.stderr}"
    return done.stdout


def _page(measured: dict[str, Rounds], options: argparse.Namespace, *, holds: bool, load: float, version: str) -> str:
    verdict = "holds" if holds else "does NOT hold, so the rows of tidegate are left out"
    lines = [
        WORDS.format(**vars(options)),
        f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, PostgreSQL {version}. Load average before the run: {load:.1f}"
        f"{' (the machine was shared)' if load > 0.5 else ''}. The log of the run {verdict}.",
        "",
        "| load | way | transactions/s | of direct | CPU µs |",
        "|---|---|---:|---:|---:|",
    ]
    for name, rounds in measured.items():
        lines += [_row(name, way, rounds) for way in rounds if holds or way != "tidegate"]
    return "\n".join(lines)


def _row(load: str, way: str, rounds: Rounds) -> str:
    ratios = [one.rate / direct.rate for one, direct in zip(rounds[way], rounds["direct"], strict=True)]
    rate, cost = (statistics.median(values) for values in zip(*((w.rate, w.cost) for w in rounds[way]), strict=True))
    return f"| {load} | {way} | {rate:,.0f} | {statistics.median(ratios):.1%} | {f'{cost:,.0f}' if cost else ''} |"


def _machine() -> str:
    """Processor, cores, and the Python that runs the gateway."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    model = found[1].strip() if found else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
