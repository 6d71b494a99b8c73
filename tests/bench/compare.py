"""`make bench`: Tidegate with everything on, beside a direct connection, pgbouncer and haproxy, in one run.

Windows are short and their order is shuffled in every round, so that noise of the machine hits everybody alike; a cell
is the median of its ratios to the direct connection in the same round. A row of Tidegate counts only if
``tidegate audit verify`` passes on the log of that very run.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway import Gateway, Upstream, free_port
from servers import Postgres, account, own

POLICY = """
rules:
  - {id: connect, may: [connect], then: allow, for: 8h}
  - {id: work, may: [read, write], then: allow}
"""
MODES = ("simple", "extended", "prepared")


@dataclass(frozen=True)
class Way:
    """One way to the database, and the process whose CPU time is its cost."""

    name: str
    port: int
    user: str
    password: str
    database: str
    pid: int | None


def main() -> int:
    """Measure and print; exit status 1 if a log of the run does not verify."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    root.chmod(0o755)
    with Postgres("debian") as server:
        try:
            return _measure(server, root, options)
        finally:
            shutil.rmtree(root, ignore_errors=True)


def _measure(server: Postgres, root: Path, options: argparse.Namespace) -> int:
    server.psql("create database bench")
    environment = {"PGPASSWORD": server.password, "PATH": "/usr/bin:/bin"}
    pgbench = str(server.bin / "pgbench")
    subprocess.run(
        [pgbench, "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, "-i", "-s", "5", "-q", "bench"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    gateway = Gateway(root / "gateway", Upstream("127.0.0.1", server.port, "bench", server.user, server.password))
    gateway.policy = POLICY
    gateway.tags = {"pii.filler": ["public.pgbench_accounts.filler"]}
    gateway.segment = "64MiB"
    gateway.start().people()
    others = [_haproxy(root, server), _pgbouncer(root, server)]
    try:
        ways = _ways(server, gateway, others)
        cells = {mode: _rounds(pgbench, mode, ways, options) for mode in MODES}
    finally:
        for process, _ in others:
            process.kill()
            process.wait()
        gateway.stop()
    verified = _verified(gateway)
    _print(cells, ways, options, verified)
    return 0 if verified else 1


def _ways(server: Postgres, gateway: Gateway, others: list[tuple[subprocess.Popen[bytes], int]]) -> list[Way]:
    (haproxy, haproxy_port), (pgbouncer, pgbouncer_port) = others
    assert gateway.process is not None
    token = gateway.token(ttl=3600)
    return [
        Way("direct", server.port, server.user, server.password, "bench", None),
        Way("haproxy", haproxy_port, server.user, server.password, "bench", haproxy.pid),
        Way("pgbouncer", pgbouncer_port, server.user, server.password, "bench", pgbouncer.pid),
        Way("tidegate", gateway.port, "agent", token, "shop", gateway.process.pid),
    ]


def _rounds(pgbench: str, mode: str, ways: list[Way], options: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Per way: (transactions per second, CPU microseconds of the proxy per transaction), one pair a round."""
    found: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
    for _ in range(options.rounds):
        for way in random.sample(ways, len(ways)):
            before = _cpu(way.pid)
            speed, done = _pgbench(pgbench, mode, way, options)
            found[way.name].append((speed, (_cpu(way.pid) - before) / max(done, 1) * 1e6))
            print(f"  {mode:9} {way.name:10} {speed:9.0f}/s", file=sys.stderr, flush=True)
    return found


def _pgbench(pgbench: str, mode: str, way: Way, options: argparse.Namespace) -> tuple[float, int]:
    done = subprocess.run(
        [pgbench, "-S", "-n", "-M", mode, "-c", str(options.clients), "-j", "1", "-T", str(options.seconds)]
        + ["-h", "127.0.0.1", "-p", str(way.port), "-U", way.user, way.database],
        env={"PGPASSWORD": way.password, "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    speed = re.search(r"tps = ([\d.]+)", done.stdout)
    count = re.search(r"actually processed: (\d+)", done.stdout)
    assert done.returncode == 0 and speed and count, f"{way.name}: {done.stdout}{done.stderr}"
    return float(speed.group(1)), int(count.group(1))


def _cpu(pid: int | None) -> float:
    """CPU seconds of a process with all its threads."""
    if pid is None:
        return 0.0
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _haproxy(root: Path, server: Postgres) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    config = root / "haproxy.cfg"
    config.write_text(
        f"global\n nbthread 1\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
        f"listen l\n bind 127.0.0.1:{port}\n server s 127.0.0.1:{server.port}\n"
    )
    return _started(["haproxy", "-db", "-f", str(config)]), port


def _pgbouncer(root: Path, server: Postgres) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    (root / "users.txt").write_text(f'"{server.user}" "{server.password}"\n')
    config = root / "pgbouncer.ini"
    config.write_text(
        f"[databases]\nbench = host=127.0.0.1 port={server.port} dbname=bench\n[pgbouncer]\nlisten_addr=127.0.0.1\n"
        f"listen_port={port}\nauth_type=plain\nauth_file={root}/users.txt\npool_mode=session\nmax_client_conn=200\n"
        "default_pool_size=100\nunix_socket_dir=\n"
    )
    for path in (root / "users.txt", config):
        own(path)
    return _started(["pgbouncer", str(config)], **account()), port


def _started(command: list[str], **how: object) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how)  # type: ignore[call-overload]
    time.sleep(1)
    assert process.poll() is None, f"{command[0]} did not start"
    return process  # type: ignore[no-any-return]


def _verified(gateway: Gateway) -> bool:
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "audit", "verify", str(gateway.data), "--trust", str(gateway.data / "trust.txt")],
        capture_output=True, text=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0


def _print(
    cells: dict[str, dict[str, list[tuple[float, float]]]], ways: list[Way], options: argparse.Namespace, verified: bool
) -> None:
    def ratio(mode: str, way: Way) -> float:
        pairs = zip(cells[mode][way.name], cells[mode]["direct"], strict=True)
        return statistics.median(one[0] / direct[0] for one, direct in pairs)

    def cost(mode: str, way: Way) -> float:
        return statistics.median(one[1] for one in cells[mode][way.name])

    column: Callable[[str], str] = lambda mode: f"{mode + ': / direct':>20} {'CPU us':>8}"  # noqa: E731
    print(f"\npgbench -S, {options.clients} clients, {options.rounds} rounds of {options.seconds} s, medians; log verifies: {verified}")
    print(f"{'':12}" + "".join(column(mode) for mode in MODES))
    for way in ways:
        if way.name != "tidegate" or verified:
            print(f"{way.name:12}" + "".join(f"{ratio(mode, way):20.2f} {cost(mode, way):8.0f}" for mode in MODES))


if __name__ == "__main__":
    sys.exit(main())
