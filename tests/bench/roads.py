"""The other protocols' rows: a store of keys and an HTTP API, each behind haproxy and behind Tidegate.

Both have masks in force on other keys and paths than those that are asked for, so that every operation is judged,
recorded and looked at, and none is changed.
"""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from loads import LoadFailed
from ways import POLICY, found, interpreter, program
from windows import Done, Way

from gateway import Gateway, Upstream, free_port
from servers import Redis

TOKEN = 3600
"""Seconds that a token lives: as long as a row could take."""

HAPROXY = """
global
 nbthread 1
defaults
 mode {mode}
 timeout connect 5s
 timeout client 60s
 timeout server 60s
 option http-keep-alive
listen bench
 bind 127.0.0.1:{port}
 server upstream 127.0.0.1:{upstream}
"""
NGINX = """
daemon off; worker_processes 1; pid {root}/nginx.pid; error_log {root}/nginx.log;
events {{ worker_connections 512; }}
http {{
 access_log off; keepalive_requests 100000000; client_body_temp_path {root}; proxy_temp_path {root};
 fastcgi_temp_path {root}; uwsgi_temp_path {root}; scgi_temp_path {root};
 server {{
  listen 127.0.0.1:{port};
  location / {{ default_type application/json; return 200 '{body}'; }}
 }}
}}
"""
BODY = '{"id": 7, "plan": "standard", "city": "Lisbon", "orders": [' + ", ".join(str(n) for n in range(40)) + "]}"
CACHE = """
  cache:
    protocol: redis
    address: 127.0.0.1:{upstream}
    tags: {{pii.email: ["0/user:* -> email"]}}
"""
API = """
  api:
    protocol: http
    address: 127.0.0.1:{upstream}
    tags: {{pii.email: ["GET /users/* -> $.email"]}}
    options: {{safe: GET}}
"""


def cache(running: ExitStack, root: Path) -> tuple[Gateway, list[Way]]:
    """A Redis, directly, behind haproxy, and behind Tidegate."""
    server = running.enter_context(Redis())
    direct = Way("direct", server.port, "", "", "")
    gateway, port, token = _gateway(running, root, "redis", "cache", CACHE.format(upstream=server.port))
    assert gateway.process is not None
    through = Way("tidegate", port, "cache", token, "", gateway.process.pid)
    return gateway, [direct, _haproxy(running, root, "tcp", server.port), through]


def api(running: ExitStack, root: Path) -> tuple[Gateway, list[Way]]:
    """An nginx that answers from memory, directly, behind haproxy, and behind Tidegate."""
    port = free_port()
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=port, body=BODY))
    program(running, port, ["nginx", "-c", str(root / "nginx.conf"), "-p", str(root)])
    gateway, shared, token = _gateway(running, root, "http", "api", API.format(upstream=port))
    assert gateway.process is not None
    through = Way("tidegate", shared, "/r/api/orders/7", token, "", gateway.process.pid)
    ways = [Way("direct", port, "/orders/7", "", ""), replace(_haproxy(running, root, "http", port), user="/orders/7")]
    return gateway, [*ways, through]


def _haproxy(running: ExitStack, root: Path, mode: str, upstream: int) -> Way:
    port = free_port()
    (root / "haproxy.cfg").write_text(HAPROXY.format(mode=mode, port=port, upstream=upstream))
    process = program(running, port, ["haproxy", "-db", "-f", str(root / "haproxy.cfg")])
    return Way("haproxy", port, "", "", "", process.pid)


def _gateway(running: ExitStack, root: Path, protocol: str, resource: str, written: str) -> tuple[Gateway, int, str]:
    """A gateway with one resource of a protocol on its shared port; that port, and a token."""
    gateway = Gateway(root / "gateway", Upstream("127.0.0.1", free_port(), "unused", ""))
    gateway.policy, gateway.segment = POLICY, "64MiB"
    gateway.command = [str(interpreter()), "-m", "tidegate"]
    gateway.environment = {} if str(interpreter()) == sys.executable else {"PYTHONPATH": ""}
    gateway.configure()
    path, port = gateway.directory / "tidegate.yaml", free_port()
    listen = f'listen: {{{protocol}: "127.0.0.1:{port}", '
    path.write_text(path.read_text().replace("listen: {", listen) + written)
    running.callback(lambda: gateway.stop() if gateway.process is not None else None)
    gateway.start().people()
    token = gateway.call(
        "POST", "tokens", "alice", resource=resource, agent="claude-code", ttl=TOKEN, reason="measured"
    )
    return gateway, port, str(token["token"])


def commands(way: Way, *, clients: int, pipelined: int, count: int) -> Done:
    """`redis-benchmark` reading one key. Raises LoadFailed."""
    login = ["--user", way.user, "-a", way.password] if way.user else []
    done = subprocess.run(
        [
            *(found("redis-benchmark"), "-h", "127.0.0.1", "-p", str(way.port), *login, "--csv", "-c", str(clients)),
            *("-P", str(pipelined), "-n", str(count), "get", "plain:1"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    rows = list(csv.reader(io.StringIO(done.stdout)))
    if done.returncode or not rows or len(rows[-1]) < 2:
        raise LoadFailed(f"redis-benchmark through {way.name}: {done.stdout[-300:]}{done.stderr[-300:]}")
    return Done(count, float(rows[-1][1]))


def requests(way: Way, *, clients: int, seconds: float) -> Done:
    """`wrk` getting one document. Raises LoadFailed."""
    token = ["-H", f"Authorization: Bearer {way.password}"] if way.password else []
    done = subprocess.run(
        [
            *(found("wrk"), "-t", "1", "-c", str(clients), "-d", f"{max(1, round(seconds))}s", *token),
            f"http://127.0.0.1:{way.port}{way.user}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    count = re.search(r"(\d+) requests in", done.stdout)
    if done.returncode or not rate or not count or "Non-2xx" in done.stdout:
        raise LoadFailed(f"wrk through {way.name}: {done.stdout}{done.stderr}")
    return Done(int(count[1]), float(rate[1]))
