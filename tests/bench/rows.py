"""The rows of the benchmark, one function each: what is run, how often, and which target its figures are held to.

Every row that has Tidegate in it starts a gateway of its own, with token, policy, tagged columns, recording and durable
audit in force, and gives the gateway back, so that its log can be verified when the row is done.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from claims import Result, Rounds, Target, costs, disturbed, percentile, rates, ratios
from kills import kill
from loads import Connection, Pgbench, bulk, disk_sync, initialise, latencies, memory
from roads import api, cache, commands, requests
from ways import canned, direct, haproxy, pgbouncer, tidegate
from windows import Done, Way, rounds

import certificates
from gateway import Gateway
from servers import Postgres, own

PEOPLE = "SELECT name, email, street, city, phone, note FROM people"
PLAIN = "SELECT name, email, street, city, phone, note FROM strangers"
COPY = "COPY freight TO STDOUT"
SCHEMA = """
create table people as select
  'person number ' || n || ' of the table' as name, 'person.' || n || '@mail.example.org' as email,
  n || ' Long Street, second floor' as street, 'a city by the sea, no. ' || n % 97 as city,
  '+1 555 0100 ' || n as phone, 'a note of some words about ' || n as note
  from generate_series(1, 10000) n;
create table strangers as select * from people;
create table freight as select n, repeat(md5(n::text), 3) as load from generate_series(1, 1005000) n;
vacuum analyze people; vacuum analyze strangers; vacuum analyze freight;
"""
SESSIONS = 100
READS = {"simple": ["-S", "-M", "simple"], "extended": ["-S", "-M", "extended"], "prepared": ["-S", "-M", "prepared"]}
UPDATE = """\\set aid random(1, 100000)
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything runs and how long: ``seconds`` of a window, ``count`` rounds, ``idle`` sessions."""

    server: Postgres
    root: Path
    seconds: int
    count: int
    idle: int

    def rounds(self, load: str, ways: list[Way], flags: list[str], clients: int) -> Rounds:
        """All windows of one pgbench load."""
        work = Pgbench(self.server.bin, flags, clients, self.seconds)
        return rounds(load, ways, work.window, self.count, work.opening)


@dataclass(slots=True)
class Row:
    """What a row found: results to hold to targets, all windows by load, and the gateways whose logs must hold."""

    results: list[Result] = field(default_factory=list)
    measured: dict[str, Rounds] = field(default_factory=dict)
    gateways: list[Gateway] = field(default_factory=list)


def prepare(server: Postgres, root: Path) -> None:
    """The database that all rows use."""
    server.psql("create database bench")
    (root / "update.sql").write_text(UPDATE)
    initialise(server.bin, direct(server))
    server.psql(SCHEMA, "bench")


def roundtrip(bench: Bench, row: Row) -> None:
    """a. A roundtrip to an upstream that answers from memory."""
    with _running(bench, "a") as (running, root):
        port = canned(running, root, bench.server)
        ways = [haproxy(running, root, bench.server, port), _gateway(row, running, root, bench, upstream=port)]
        for mode, clients in itertools.product(("simple", "prepared"), (8, 32)):
            load = f"canned, {mode}, {clients} clients"
            found = row.measured[load] = bench.rounds(load, ways, READS[mode], clients)
            figures = ratios(costs(found["tidegate"]), costs(found["haproxy"]))
            target = Target(2.0, most=True, aim=1.2)
            row.results.append(_result(f"CPU of a roundtrip, {load} / haproxy", target, figures, found))


def throughput(bench: Bench, row: Row) -> None:
    """b. pgbench against a real server."""
    with _running(bench, "b") as (running, root):
        proxies = [haproxy(running, root, bench.server), pgbouncer(running, root, bench.server)]
        ways = [direct(bench.server), *proxies, _gateway(row, running, root, bench)]
        for clients, mode in itertools.product((8, 32), READS):
            load = f"read, {mode}, {clients} clients"
            found = row.measured[load] = bench.rounds(load, ways, READS[mode], clients)
            figures = ratios(rates(found["tidegate"]), rates(found["pgbouncer"]))
            target = Target(0.85 if clients == 8 else 0.75, most=False, aim=1.0)
            row.results.append(_result(f"transactions/s, {load} / pgbouncer", target, figures, found))
        load = "update, prepared, 8 clients"
        flags = ["-f", str(bench.root / "update.sql"), "-M", "prepared"]
        row.measured[load] = bench.rounds(load, ways, flags, 8)


def latency(bench: Bench, row: Row) -> None:
    """c. What one read takes longer, and the disk beside it."""
    with _running(bench, "c") as (running, root):
        ways = [direct(bench.server), _gateway(row, running, root, bench)]
        disk = Way("disk", 0, "", "", "")
        taken: dict[str, list[list[float]]] = {way.name: [] for way in ways}
        syncs: list[float] = []

        def work(way: Way) -> Done:
            if way is disk:
                syncs.append(disk_sync(root, bench.seconds / 2))
                return Done(0, 0.0)
            each = latencies(bench.server.bin, way, READS["prepared"], 8, bench.seconds, root)
            taken[way.name].append(each)
            return Done(len(each), len(each) / bench.seconds)

        found = rounds("read, prepared, 8 clients, timed", [*ways, disk], work, bench.count, None)
    del found[disk.name]
    added = {
        share: [
            percentile(b, share) - percentile(a, share) for a, b in zip(taken["direct"], taken["tidegate"], strict=True)
        ]
        for share in (0.5, 0.99)
    }
    median = Target(0.5, most=True, unit="ms")
    row.results.append(_result("added latency of a read, 8 clients, p50", median, added[0.5], found))
    slowest, sync = statistics.median(added[0.99]), statistics.median(syncs)
    name = f"the same, p99 ({slowest:.2g} ms) / p99 of the disk's sync ({sync:.2g} ms)"
    row.results.append(_result(name, Target(1.0, most=True), ratios(added[0.99], syncs), found))


def rows_of_text(bench: Bench, row: Row) -> None:
    """d. Results of 10,000 rows, with two of six columns masked and without."""
    with _running(bench, "d") as (running, root):
        way = _gateway(row, running, root, bench)
        past = direct(bench.server)
        texts = {"direct": (past, PEOPLE), "tidegate, masked": (way, PEOPLE), "tidegate, clear": (way, PLAIN)}
        found = _bulk("10,000 rows", texts, bench)[0]
        row.measured["10,000 rows"] = found
    masked, clear = found["tidegate, masked"], found["tidegate, clear"]
    share = ratios(rates(masked), rates(found["direct"]))
    row.results.append(
        _result(
            "rows/s of 10,000 rows, 2 of 6 columns masked / direct", Target(0.65, most=False, aim=0.8), share, found
        )
    )
    more = [one - other for one, other in zip(costs(masked), costs(clear), strict=True)]
    target = Target(0.5, most=True, unit="µs", aim=0.05)
    row.results.append(_result("what masking adds to a row", target, more, found))


def copy_out(bench: Bench, row: Row) -> None:
    """e. COPY of 100 MiB to the agent."""
    with _running(bench, "e") as (running, root):
        way = _gateway(row, running, root, bench)
        texts = {"direct": (direct(bench.server), COPY), "tidegate": (way, COPY)}
        _, found = _bulk("COPY OUT, bytes", texts, bench)
        row.measured["COPY OUT, bytes"] = found
    figures = ratios(rates(found["tidegate"]), rates(found["direct"]))
    row.results.append(_result("bytes/s of COPY OUT / direct", Target(0.8, most=False, aim=1.0), figures, found))


def encryption(bench: Bench, row: Row) -> None:
    """f. TLS between the agent and the proxy."""
    with _running(bench, "f") as (running, root):
        pair = certificates.issue(root)
        for path in (pair.key, pair.certificate):
            own(path)
        ways = [pgbouncer(running, root, bench.server, pair), _gateway(row, running, root, bench, tls=True)]
        load = "read, prepared, 8 clients, TLS"
        found = row.measured[load] = bench.rounds(load, ways, READS["prepared"], 8)
    figures = ratios(costs(found["tidegate"]), costs(found["pgbouncer"]))
    row.results.append(
        _result("CPU of a transaction with TLS / pgbouncer with TLS", Target(1.6, most=True), figures, found)
    )


def idle(bench: Bench, row: Row) -> None:
    """g. Idle sessions: their memory, and whether they slow down others."""
    with _running(bench, "g") as (running, root), ExitStack() as opened:
        ways, sizes = {}, []
        for name, many in (("few", 10), ("many", bench.idle)):
            place = root / name
            place.mkdir()
            limits = {"sessions": str(bench.idle + 100), "idle": "1h"}
            gateway, way = tidegate(running, place, bench.server, limits=limits)
            row.gateways.append(gateway)
            ways[name] = Way(f"tidegate, {many:,} idle", *_address(way))
            _open(opened, way, 10)
            if many > 10:
                before = memory(gateway.process.pid) if gateway.process else 0
                _open(opened, way, many - 10)
                sizes.append((memory(gateway.process.pid) - before) / (many - 10) if gateway.process else 0.0)
        load = "read, prepared, 8 clients, idle sessions beside"
        found = row.measured[load] = bench.rounds(load, list(ways.values()), READS["prepared"], 8)
        few, many_ = (found[ways[name].name] for name in ("few", "many"))
    name = f"memory of an idle session ({bench.idle:,} open)"
    row.results.append(_result(name, Target(60, most=True, unit="KiB"), sizes, found))
    name = f"CPU of a transaction beside {bench.idle:,} sessions / beside 10"
    row.results.append(_result(name, Target(1.15, most=True, aim=1.0), ratios(costs(many_), costs(few)), found))


def workers(bench: Bench, row: Row) -> None:
    """h. Two worker processes instead of one."""
    with _running(bench, "h") as (running, root):
        ways = []
        for number in (1, 2):
            place = root / str(number)
            place.mkdir()
            gateway, way = tidegate(running, place, bench.server, workers=number)
            row.gateways.append(gateway)
            ways.append(Way(f"tidegate, {number} worker{'s' * (number > 1)}", *_address(way)))
        load = "read, prepared, 32 clients, workers"
        found = row.measured[load] = bench.rounds(load, ways, READS["prepared"], 32)
    one, two = (found[way.name] for way in ways)
    name = "transactions/s, prepared, 32 clients, 2 workers / 1"
    row.results.append(_result(name, Target(1.0, most=False), ratios(rates(two), rates(one)), found))


def kill_switch(bench: Bench, row: Row) -> None:
    """i. From the kill switch until 100 sessions are cut and the server runs nothing of theirs."""
    with _running(bench, "i") as (running, root):
        gateways, taken = {}, dict[str, list[float]]()
        ways = []
        for number in (1, 2):
            place = root / str(number)
            place.mkdir()
            gateway, way = tidegate(running, place, bench.server, workers=number)
            row.gateways.append(gateway)
            name = f"tidegate, {number} worker{'s' * (number > 1)}"
            gateways[name], taken[name] = gateway, []
            ways.append(Way(name, *_address(way)))

        def work(way: Way) -> Done:
            taken[way.name].append(kill(gateways[way.name], way, bench.server, SESSIONS))
            return Done(SESSIONS, SESSIONS / taken[way.name][-1])

        found = rounds(f"kill, {SESSIONS} sessions", ways, work, bench.count, None)
    for name, figures in taken.items():
        target = Target(1.0, most=True, unit="s", aim=0.5)
        row.results.append(_result(f"all of {SESSIONS} sessions ended, {name}", target, figures, found))


def store(bench: Bench, row: Row) -> None:
    """j. Commands to a store of keys."""
    with _running(bench, "j") as (running, root):
        gateway, ways = cache(running, root)
        row.gateways.append(gateway)
        for pipelined in (16, 1):
            load = f"GET, 32 clients, {'pipelined by 16' if pipelined > 1 else 'one by one'}"

            def work(way: Way, pipelined: int = pipelined) -> Done:
                count = bench.seconds * (25_000 if way.name == "tidegate" else 100_000) * (4 if pipelined > 1 else 1)
                return commands(way, clients=32, pipelined=pipelined, count=count // (5 if pipelined == 1 else 1))

            found = row.measured[load] = rounds(load, ways, work, bench.count, None)
            if pipelined > 1:
                figures = ratios(rates(found["tidegate"]), rates(found["haproxy"]))
                target = Target(0.8, most=False, aim=1.0)
                row.results.append(_result(f"commands/s, {load} / haproxy", target, figures, found))
            else:
                figures = ratios(costs(found["tidegate"]), costs(found["haproxy"]))
                target = Target(2.0, most=True, aim=1.3)
                row.results.append(_result(f"CPU of a command, {load} / haproxy", target, figures, found))


def web_api(bench: Bench, row: Row) -> None:
    """k. Requests to an HTTP API."""
    with _running(bench, "k") as (running, root):
        gateway, ways = api(running, root)
        row.gateways.append(gateway)
        load = "GET of 220 bytes of JSON, 32 clients"
        work = lambda way: requests(way, clients=32, seconds=bench.seconds)  # noqa: E731
        found = row.measured[load] = rounds(load, ways, work, bench.count, None)
        figures = ratios(rates(found["tidegate"]), rates(found["haproxy"]))
        row.results.append(_result(f"requests/s, {load} / haproxy", Target(0.6, most=False, aim=0.8), figures, found))


ROWS: dict[str, Callable[[Bench, Row], None]] = {
    "a": roundtrip,
    "b": throughput,
    "c": latency,
    "d": rows_of_text,
    "e": copy_out,
    "f": encryption,
    "g": idle,
    "h": workers,
    "i": kill_switch,
    "j": store,
    "k": web_api,
}
__all__ = ["ROWS", "Bench", "Row", "prepare"]


def _result(name: str, target: Target, figures: list[float], found: Rounds) -> Result:
    return Result(name, target, figures, disturbed(*found.values()))


@contextmanager
def _running(bench: Bench, letter: str) -> Iterator[tuple[ExitStack, Path]]:
    """A directory of a row's own, and the processes that end with it."""
    root = bench.root / letter
    root.mkdir()
    root.chmod(0o755)  # servers run under another account
    with ExitStack() as running:
        yield running, root


def _gateway(
    row: Row, running: ExitStack, root: Path, bench: Bench, *, upstream: int | None = None, tls: bool = False
) -> Way:
    gateway, way = tidegate(running, root, bench.server, upstream=upstream, tls=tls)
    row.gateways.append(gateway)
    return way


def _address(way: Way) -> tuple[int, str, str, str, int | None]:
    return way.port, way.user, way.password, way.database, way.pid


def _bulk(load: str, texts: dict[str, tuple[Way, str]], bench: Bench) -> tuple[Rounds, Rounds]:
    """Windows of a statement with a large result: by row, and by byte."""
    ways = [Way(name, *_address(way)) for name, (way, _) in texts.items()]
    opened = {way.name: Connection(way) for way in ways}
    sizes: Rounds = {way.name: [] for way in ways}
    done: dict[str, list[Done]] = {way.name: [] for way in ways}

    def work(way: Way) -> Done:
        rows, size = bulk(opened[way.name], texts[way.name][1], bench.seconds)
        done[way.name].append(size)
        return rows

    found = rounds(load, ways, work, bench.count, None)
    for name, windows in found.items():
        for one, size in zip(windows, done[name], strict=True):
            by_byte = one.cost * (one.rate / size.rate)
            sizes[name].append(type(one)(size.rate, by_byte, one.foreign))
    for connection in opened.values():
        connection.close()
    return found, sizes


def _open(opened: ExitStack, way: Way, count: int) -> None:
    """Idle sessions that have asked once, so that each has what a session comes to have."""
    for _ in range(count):
        connection = Connection(way)
        opened.callback(connection.close)
        connection.ask("SELECT abalance FROM pgbench_accounts WHERE aid = 1")
