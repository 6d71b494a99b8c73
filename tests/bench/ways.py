"""The ways to one database that are compared: direct, through haproxy, through pgbouncer, and through Tidegate.

haproxy copies bytes and knows nothing of them; pgbouncer understands the protocol and pools connections; Tidegate does
everything it does. Each proxy is one process on loopback in front of the same server, in the clear.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway import Gateway, Upstream, free_port
from servers import Postgres, account, own

PATIENCE = 20.0
"""Seconds a proxy may take to listen."""

POLICY = """
rules:
  - {id: connect, may: [connect], then: allow, for: 8h}
  - {id: work, may: [read, write], then: allow}
"""
HAPROXY = """
global
 nbthread 1
defaults
 mode tcp
 timeout connect 5s
 timeout client 60s
 timeout server 60s
listen bench
 bind 127.0.0.1:{port}
 server upstream 127.0.0.1:{upstream}
"""
PGBOUNCER = """
[databases]
bench = host=127.0.0.1 port={upstream} dbname=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = plain
auth_file = {root}/users.txt
pool_mode = session
max_client_conn = 200
default_pool_size = 100
unix_socket_dir =
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the database; ``pid`` is the process whose CPU time is its cost, if there is one."""

    name: str
    port: int
    user: str
    password: str
    database: str
    pid: int | None = None

    def cpu(self) -> float:
        """CPU seconds that the process has used so far, with all its threads."""
        if self.pid is None:
            return 0.0
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


@contextmanager
def proxies(server: Postgres, root: Path) -> Iterator[list[Way]]:
    """The way past everybody, and those through haproxy and pgbouncer, which end with the context."""
    with ExitStack() as running:
        haproxy = _program(root / "haproxy.cfg", HAPROXY, server, ["haproxy", "-db", "-f"], running)
        users = root / "users.txt"
        users.write_text(f'"{server.user}" "{server.password}"\n')
        own(users)
        pgbouncer = _program(root / "pgbouncer.ini", PGBOUNCER, server, ["pgbouncer"], running, **account())
        ports = {"direct": (server.port, None), "haproxy": haproxy, "pgbouncer": pgbouncer}
        yield [Way(name, port, server.user, server.password, "bench", pid) for name, (port, pid) in ports.items()]


def tidegate(server: Postgres, root: Path) -> tuple[Gateway, Way]:
    """A gateway with a tagged column, where reads and writes are allowed, and the way through it."""
    gateway = Gateway(root / "gateway", Upstream("127.0.0.1", server.port, "bench", server.user, server.password))
    gateway.policy, gateway.segment = POLICY, "64MiB"
    gateway.tags = {"pii.filler": ["public.pgbench_accounts.filler"]}
    gateway.start().people()
    assert gateway.process is not None
    return gateway, Way("tidegate", gateway.port, "agent", gateway.token(ttl=3600), "shop", gateway.process.pid)


def verified(gateway: Gateway) -> bool:
    """Whether the log of the run holds, by the command that an auditor runs."""
    options = ["audit", "verify", str(gateway.data), "--trust", str(gateway.data / "trust.txt")]
    done = subprocess.run([sys.executable, "-m", "tidegate", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0


def _program(
    path: Path, text: str, server: Postgres, command: list[str], running: ExitStack, **how: object
) -> tuple[int, int]:
    """Start a proxy with its configuration; gives port and process id once it listens."""
    port = free_port()
    path.write_text(text.format(port=port, upstream=server.port, root=path.parent))
    own(path)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    process = subprocess.Popen(
        [*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, **how
    )  # type: ignore[call-overload]
    running.callback(process.wait)
    running.callback(process.kill)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return port, process.pid
        time.sleep(0.02)
    raise AssertionError(f"{command[0]} did not come up")
