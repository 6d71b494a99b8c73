"""`make bench`: what Tidegate costs with everything on, held to its targets, beside other ways, all in one run.

Progress goes to standard error and the page to standard output, or into the documentation with ``--write``. A row is
printed only if ``tidegate audit verify`` passes on the log of that row's own run.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chart import chart
from page import Machine, Outcome, page
from rows import ROWS, Bench, Row, prepare
from ways import ROOT, build, verified, versions

from servers import Postgres

PAGE, CHART = ROOT / "docs" / "reference" / "benchmark.md", ROOT / "docs" / "images" / "benchmark.svg"


def main() -> int:
    """Measure and print; exit status 1 if a row could not be measured or its log does not hold."""
    options = _options()
    _allow_many_sockets()
    load = os.getloadavg()[0]
    start = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    root.chmod(0o755)  # the servers run under another account
    try:
        with Postgres("debian", auth="trust", settings=["fsync=on", "max_connections=1400"]) as server:
            prepare(server, root)
            bench = Bench(server, root, options.seconds, options.rounds, options.idle)
            outcomes = {letter: _outcome(letter, bench) for letter in options.only}
            version = server.psql("show server_version").split()[0]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    machine = Machine(f"PostgreSQL {version}, {versions()}", build(), load, time.monotonic() - start)
    _publish(page(outcomes, machine, bench.seconds, bench.count), outcomes, write=options.write)
    return 0 if all(outcome.counts for outcome in outcomes.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what Tidegate costs.")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(ROWS), metavar="a,b", help="these rows"
    )
    parser.add_argument("--seconds", type=int, help="of a window (2)")
    parser.add_argument("--rounds", type=int, help="windows of each cell (5)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s and 200 idle sessions: a first look only")
    parser.add_argument("--write", action="store_true", help="into docs/reference/benchmark.md, with its chart")
    options = parser.parse_args()
    if unknown := set(options.only) - set(ROWS):
        parser.error(f"there are no rows {sorted(unknown)}; there are {', '.join(ROWS)}")
    if options.write and (options.quick or set(options.only) != set(ROWS)):
        parser.error("only a whole run is written down")
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.idle = 200 if options.quick else 1000
    return options


def _outcome(letter: str, bench: Bench) -> Outcome:
    """Measure one row and verify its logs."""
    row, what = Row(), ROWS[letter]
    title = (what.__doc__ or "").split("Raises")[0].strip()
    print(title, file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        what(bench, row)
    except Exception as error:
        traceback.print_exc()
        return Outcome(title, row, failure=f"{type(error).__name__}: {error}".splitlines()[0][:200])
    print(f"  measured in {time.monotonic() - start:.0f} s; verifying ...", file=sys.stderr, flush=True)
    holds = all([verified(gateway) for gateway in row.gateways])
    shutil.rmtree(bench.root / letter, ignore_errors=True)
    print(f"  the log {'holds' if holds else 'does NOT hold'}, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return Outcome(title, row, failure="" if holds else "the log of the run does not hold, so nothing of it counts")


def _publish(text: str, outcomes: dict[str, Outcome], *, write: bool) -> None:
    if not write:
        print(text)
        return
    PAGE.write_text(text)
    throughput = outcomes["b"]
    if throughput.counts:
        CHART.write_text(chart({k: v for k, v in throughput.row.measured.items() if k.startswith("read")}))


def _allow_many_sockets() -> None:
    """A thousand sessions need two sockets each in the gateway, and one here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
