"""Where the gateway's time goes: its functions, sampled from outside while pgbench keeps it busy.

Prints what one transaction costs in CPU time by thread, then the functions that time was spent in, first their own and
then with all they call, both as microseconds of a transaction. ``--calls`` counts calls instead (cProfile, which slows
everything down and sees the main thread only, so believe its counts and not its times). The load runs before the
sampling begins, so that caches are warm. Needs py-spy: `.venv/bin/pip install -e .[bench]`.
"""

from __future__ import annotations

import argparse
import operator
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from loads import pgbench
from rows import READS, prepare
from ways import interpreter, tidegate
from windows import Way

from servers import Postgres

WAITING = re.compile(r"PyThread_acquire_lock|take_gil|epoll_pwait")
"""Native frames of a thread that only waits; py-spy takes it for running."""

Stack = tuple[str, ...]
Work = Callable[[int], int]
"""Runs the load for some seconds and gives the number of transactions."""


def main() -> int:
    """Run the load, print the profile."""
    options = _options()
    root = Path(tempfile.mkdtemp(prefix="tidegate-profile-"))
    root.chmod(0o755)  # the servers run under another account
    try:
        with Postgres("debian", auth="trust") as server, _under_load(server, root, options) as (way, work):
            done = work(options.seconds if options.calls else 2)
            if not options.calls:
                _sampled(way, work, root, options)
        if options.calls:
            _print_calls(root / "calls.prof", done, options.top)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Profile the gateway under a pgbench load.")
    parser.add_argument("--load", choices=["simple", "extended", "prepared", "update"], default="prepared")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--top", type=int, default=45, help="functions to print")
    parser.add_argument("--lines", action="store_true", help="by line instead of by function")
    parser.add_argument("--native", action="store_true", help="C functions too, for a compiled build")
    parser.add_argument("--calls", action="store_true", help="count calls with cProfile")
    parser.add_argument("--flame", type=Path, help="write a flame graph (SVG) here as well")
    return parser.parse_args()


@contextmanager
def _under_load(server: Postgres, root: Path, options: argparse.Namespace) -> Iterator[tuple[Way, Work]]:
    prepare(server, root)
    counting = ["-m", "cProfile", "-o", str(root / "calls.prof")] if options.calls else []
    flags = ["-f", str(root / "update.sql"), "-M", "prepared"] if options.load == "update" else READS[options.load]
    with ExitStack() as running:
        _, way = tidegate(running, root, server, command=[str(interpreter()), *counting])
        yield way, lambda seconds: pgbench(server.bin, way, flags, options.clients, seconds=seconds).count


def _sampled(way: Way, work: Work, root: Path, options: argparse.Namespace) -> None:
    before = way.threads()
    done = work(options.seconds)
    after = way.threads()
    cost = {name: (after[name] - before.get(name, 0.0)) / done * 1e6 for name in after}
    total = sum(cost.values())
    print(
        f"{options.load}, {options.clients} clients: {done / options.seconds:,.0f} transactions/s unsampled, ", end=""
    )
    print(f"{total:,.0f} µs CPU each")
    for name, value in sorted(cost.items(), key=lambda item: -item[1]):
        if value >= total / 200:
            print(f"  {value:8.1f} µs  thread {name}")
    stacks = _samples(way, work, root, options)
    count = sum(stacks.values())
    print(f"\n{count:,} samples of running threads, as µs of a transaction")
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, seen in stacks.items():
        own[stack[-1]] += seen
        whole.update(dict.fromkeys((frame for frame in stack if not _scaffold(frame)), seen))
    for title, found in (("own time", own), ("with what it calls", whole)):
        print(f"\n{title}")
        for name, seen in found.most_common(options.top):
            print(f"  {seen / count * total:8.1f} µs {seen / count:6.1%}  {name}")


def _samples(way: Way, work: Work, root: Path, options: argparse.Namespace) -> dict[Stack, int]:
    """Samples by stack, outermost function first."""
    said = root / "stacks.txt"
    program = str(Path(sys.executable).with_name("py-spy"))
    command = [program, "record", "-p", str(way.pid), "-d", str(options.seconds), "-r", "400"]
    command += [] if options.lines else ["--function"]
    command += ["--native"] if options.native else ["--nonblocking"]
    wanted = [("raw", said)] + ([("flamegraph", options.flame)] if options.flame else [])
    for kind, path in wanted:
        each = [*command, "-f", kind, "-o", str(path)]
        spy = subprocess.Popen(each, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        work(options.seconds + 1)
        _, error = spy.communicate(timeout=60)
        assert spy.returncode == 0, f"py-spy needs root, or kernel.yama.ptrace_scope=0: {error}"
    stacks: dict[Stack, int] = {}
    for line in said.read_text().splitlines():
        frames, _, seen = line.rpartition(" ")
        if options.native and WAITING.search(frames):
            continue
        stack = tuple(_shorter(frame) for frame in frames.split(";"))
        stacks[stack] = stacks.get(stack, 0) + int(seen)
    return stacks


def _shorter(frame: str) -> str:
    """A frame without the way to its file: ``judge (enforcement/session.py)``."""
    return re.sub(r"\((?:.*/)?([^/]+/[^/]+\.py)", r"(\1", frame)


def _scaffold(frame: str) -> bool:
    """Whether a frame only starts the program or a thread."""
    return (
        re.search(r"runpy|cyclopts|cli/main|cli/serve|__main__|tidegate/app\.py|threading\.py|runners\.py", frame)
        is not None
    )


def _print_calls(path: Path, done: int, top: int) -> None:
    """Calls and own time of a transaction; starting up is in them too, so a long run says more."""
    found = [(calls / done, own / done * 1e6, where) for where, (_, calls, own, *_) in _statistics(path).items()]
    for title, key in (("calls", 0), ("own time", 1)):
        print(f"\nmost {title} a transaction: calls, own µs (believe the order only)")
        for calls, own, (file, line, name) in sorted(found, key=operator.itemgetter(key), reverse=True)[:top]:
            print(f"  {calls:8.1f} {own:8.1f}  {'/'.join(Path(file).parts[-2:])}:{line} {name}")


def _statistics(path: Path) -> dict[tuple[str, int, str], tuple[int, int, float, float, object]]:
    return pstats.Stats(str(path)).stats  # type: ignore[attr-defined,no-any-return]


if __name__ == "__main__":
    sys.exit(main())
