"""The ways to one database that are compared: direct, through haproxy, through pgbouncer, and through Tidegate.

haproxy copies bytes and knows nothing of them; pgbouncer understands the protocol and pools connections; Tidegate does
everything it does. Each stands on loopback in front of the same server. ``canned`` is an upstream that answers
pgbench's select from memory, so that the database does not hide what a proxy costs.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from windows import Way

from certificates import Pair
from gateway import Gateway, Upstream, free_port
from servers import Postgres, account, own

PATIENCE = 20.0
"""Seconds a proxy may take to listen."""

ROOT = Path(__file__).parents[2]
DATABASE = "bench"

POLICY = """
rules:
  - {id: connect, may: [connect], then: allow, for: 8h}
  - {id: work, may: [read, write], then: allow}
"""
TAGS = {
    "pii.filler": ["public.pgbench_accounts.filler"],
    "pii.email": ["public.people.email"],
    "pii.phone": ["public.people.phone"],
}
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


def direct(server: Postgres) -> Way:
    """The way past everybody."""
    return Way("direct", server.port, server.user, server.password, DATABASE)


def haproxy(running: ExitStack, root: Path, server: Postgres, upstream: int | None = None) -> Way:
    """Through haproxy, to the server or to another port."""
    text = HAPROXY.format(port=(port := free_port()), upstream=upstream or server.port)
    (root / "haproxy.cfg").write_text(text)
    process = program(running, port, ["haproxy", "-db", "-f", str(root / "haproxy.cfg")])
    return Way("haproxy", port, server.user, server.password, DATABASE, process.pid)


def pgbouncer(running: ExitStack, root: Path, server: Postgres, tls: Pair | None = None) -> Way:
    """Through pgbouncer in session mode, with TLS to its clients if there is a certificate."""
    text = PGBOUNCER.format(port=(port := free_port()), upstream=server.port, root=root)
    if tls:
        text += (
            f"client_tls_sslmode = require\nclient_tls_key_file = {tls.key}\nclient_tls_cert_file = {tls.certificate}\n"
        )
    files = {root / "pgbouncer.ini": text, root / "users.txt": f'"{server.user}" "{server.password}"\n'}
    for path, content in files.items():
        path.write_text(content)
        own(path)
    process = program(running, port, ["pgbouncer", str(root / "pgbouncer.ini")], **account())
    return Way("pgbouncer", port, server.user, server.password, DATABASE, process.pid, tls=tls is not None)


def canned(running: ExitStack, root: Path, server: Postgres) -> int:
    """The port of an upstream that answers from memory what the server has answered once."""
    built = root / "canned"
    subprocess.run(["gcc", "-O2", "-o", str(built), str(Path(__file__).with_name("canned.c"))], check=True)
    port = free_port()
    program(running, port, [str(built), str(port), str(server.port)], stdin=subprocess.PIPE)
    return port


def tidegate(
    running: ExitStack,
    root: Path,
    server: Postgres,
    *,
    upstream: int | None = None,
    command: Sequence[str] = (),
    limits: Mapping[str, str] = {},
    tls: bool = False,
    workers: int = 1,
) -> tuple[Gateway, Way]:
    """A gateway where tagged columns are masked and reads and writes allowed."""
    upstream = upstream or server.port
    gateway = Gateway(root / "gateway", Upstream("127.0.0.1", upstream, DATABASE, server.user, server.password))
    gateway.policy, gateway.segment, gateway.tags, gateway.limits = POLICY, "64MiB", TAGS, dict(limits)
    gateway.command = [*(command or [str(interpreter())]), "-m", "tidegate"]
    gateway.environment = {} if str(interpreter()) == sys.executable else {"PYTHONPATH": ""}
    gateway.workers = workers
    gateway.configure()
    running.callback(lambda: gateway.stop() if gateway.process is not None else None)
    gateway.start().people()
    assert gateway.process is not None
    token = gateway.token(ttl=3600)
    return gateway, Way("tidegate", gateway.port, "agent", token, "shop", gateway.process.pid, tls=tls)


def interpreter() -> Path:
    """The Python that has the compiled build, if `make compiled` made one; ``TIDEGATE_PURE=1`` looks past it."""
    compiled = ROOT / ".venv-compiled" / "bin" / "python"
    return compiled if compiled.exists() and not os.environ.get("TIDEGATE_PURE") else Path(sys.executable)


def build() -> str:
    """Which build is measured: how many of the gateway's modules are compiled."""
    count = "import tidegate,pathlib as p; print(len([*p.Path(tidegate.__file__).parent.rglob('*.so')]))"
    environment = {**os.environ, **({} if str(interpreter()) == sys.executable else {"PYTHONPATH": ""})}
    done = subprocess.run([interpreter(), "-c", count], capture_output=True, text=True, check=True, env=environment)
    modules = int(done.stdout)
    return f"the build with {modules} compiled modules" if modules else "the pure Python build"


def verified(gateway: Gateway) -> bool:
    """Whether the log of the run holds, by the command that an auditor runs."""
    options = ["audit", "verify", str(gateway.data), "--trust", str(gateway.data / "trust.txt")]
    done = subprocess.run(
        [*gateway.command, *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **gateway.environment},
    )
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return done.returncode == 0


def versions() -> str:
    """Which haproxy and pgbouncer."""
    said = (
        subprocess.run([found(name), option], capture_output=True, text=True, check=True).stdout
        for name, option in (("haproxy", "-v"), ("pgbouncer", "--version"))
    )
    first = [re.search(r"\d+\.\d+(\.\d+)?", text) for text in said]
    return ", ".join(f"{name} {said[0]}" for name, said in zip(("haproxy", "pgbouncer"), first, strict=True) if said)


def found(program: str) -> str:
    """Where a program is, also one of those that only root has on its path."""
    for directory in (*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"):
        if (path := Path(directory) / program).exists():
            return str(path)
    return program


def program(running: ExitStack, port: int, command: list[str], **how: object) -> subprocess.Popen[bytes]:
    """Start a program that ends with ``running``, and wait until it listens."""
    process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        [found(command[0]), *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how
    )
    running.callback(process.wait)
    running.callback(process.kill)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.02)
    raise AssertionError(f"{command[0]} did not come up")
