"""Native clients started by `tidegate connect`, or in a shell prepared by `tidegate env`, through a real gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway import Gateway
from tidegate.cli.credentials import Credentials, write_private

WHO = ("shop", "--agent", "claude-code")


@pytest.fixture
def home(gateway: Gateway, tmp_path: Path) -> dict[str, str]:
    """The environment of a terminal where alice is logged in."""
    stored = Credentials(gateway.url, gateway.logins["alice"], "alice", 2**31)
    write_private(tmp_path / "credentials.json", json.dumps({name: getattr(stored, name) for name in stored.__slots__}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "TIDEGATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": "", "TMPDIR": str(tmp_path)}


def tidegate(home: dict[str, str], *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """One command."""
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *arguments],
        env=home, input=typed, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_psql_verifies_the_gateway(home: dict[str, str]) -> None:
    """Without a word about address, password or certificate psql is connected, over TLS that it has verified."""
    done = tidegate(home, "connect", *WHO, "--", "psql", "-XAtc", "\\conninfo", "-c", "select count(*) from orders")
    assert done.returncode == 0, done.stderr
    assert "SSL connection" in done.stdout and done.stdout.splitlines()[-1] == "1000"


def test_the_usual_client_reads_what_is_typed(home: dict[str, str]) -> None:
    """Standard input and output are the client's own, and its exit status the command's."""
    done = tidegate(home, "connect", *WHO, "--", "-XAt", "-v", "ON_ERROR_STOP=1", typed="select 7;\nselect nothing;\n")
    assert (done.returncode, done.stdout) == (3, "7\n")


def test_a_server_that_is_not_the_gateway_is_offered_nothing(home: dict[str, str], tmp_path: Path) -> None:
    """The client refuses a server whose certificate another authority made."""
    swapped = (
        "import os, sys, pathlib, psycopg, certificates\n"
        "pair = certificates.issue(pathlib.Path(sys.argv[1]))\n"
        "psycopg.connect(sslrootcert=str(pair.certificate))"
    )
    home["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), home.get("PYTHONPATH", "")])
    done = tidegate(home, "connect", *WHO, "--", sys.executable, "-c", swapped, str(tmp_path))
    assert done.returncode == 1 and "certificate verify failed" in done.stderr


DRIVERS = {
    "psycopg": "import psycopg; print(psycopg.connect('').execute('select 7').fetchone()[0])",
    "service": "import psycopg; print(psycopg.connect('service=shop').execute('select 7').fetchone()[0])",
    "asyncpg": (
        "import asyncio, asyncpg\n"
        "async def main():\n"
        "    print(await (await asyncpg.connect()).fetchval('select 7'))\n"
        "asyncio.run(main())"
    ),
}


@pytest.mark.parametrize("code", DRIVERS.values(), ids=DRIVERS)
def test_drivers_find_the_way(home: dict[str, str], code: str) -> None:
    """A program that names no address connects, verified."""
    done = tidegate(home, "connect", *WHO, "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


def test_a_shell_prepared_by_env(home: dict[str, str]) -> None:
    """The line that people copy works as it stands."""
    script = f'eval "$({sys.executable} -m tidegate env {" ".join(WHO)} --shell sh)"; psql -XAtc "select 7"'
    done = subprocess.run(["sh", "-c", script], env=home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr


def test_no_process_shows_the_token(home: dict[str, str], tmp_path: Path) -> None:
    """While the client runs, neither its arguments nor any process's environment has the token."""
    waits = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "connect", *WHO, "--", sys.executable, "-c", waits, str(ready)], env=home
    )
    end = time.monotonic() + 30
    while not ready.exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    passfile = next(tmp_path.glob("tidegate-connect-*/passfile"))
    token = passfile.read_text().strip().rsplit(":", 1)[1].encode()
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    for pid in (process.pid, *children):
        shown = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        assert token not in shown
    assert children
    process.terminate()
    assert process.wait(30) == 128 + 15
    assert not passfile.parent.exists()
