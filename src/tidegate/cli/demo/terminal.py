"""The agent at other clients' terminals: a real `redis-cli`, and a request to an HTTP API as curl would make it.

The token is handed over in a variable or in memory, never as an argument.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import httpx2

PATIENCE = 30.0
"""Seconds to wait for an answer."""


def cached(binary: Path, port: int, resource: str, token: Path, *lines: str) -> str:
    """What `redis-cli` prints for these commands."""
    done = subprocess.run(
        [binary / "redis-cli", "-p", str(port), "--user", resource, "--no-auth-warning"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": _token(token)},
        timeout=PATIENCE,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


def fetched(method: str, url: str, token: Path) -> tuple[int, str]:
    """Status and body of an answer; by curl if there is one here."""
    secret = _token(token)
    if shutil.which("curl") is None:
        answer = httpx2.request(method, url, headers={"authorization": f"Bearer {secret}"}, timeout=PATIENCE)
        return answer.status_code, answer.text
    done = subprocess.run(
        ["curl", "-s", "-X", method, "-H", "@-", "-w", "\n%{http_code}", url],
        input=f"Authorization: Bearer {secret}\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


def _token(passfile: Path) -> str:
    """The last part of a password file's line."""
    return passfile.read_text().strip().rpartition(":")[2]
