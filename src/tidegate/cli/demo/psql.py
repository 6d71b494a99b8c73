"""The agent's terminal: a real `psql` that stays connected while statements are typed one by one.

Its output is read line by line up to a marker that `\\echo` prints after each statement, so the demo sees exactly what
the agent sees, errors included, in order.
"""

from __future__ import annotations

import queue
import subprocess
import threading
from pathlib import Path

from tidegate.errors import ResourceError

PATIENCE = 30.0
"""Seconds to wait for an answer; held statements are answered well within it."""

_MARKER = "-- answered --"


class Psql:
    """One session of user ``claude-code`` on database ``shop`` through the gateway; a context manager."""

    def __init__(self, binary: Path, port: int, passfile: Path) -> None:
        self._process = subprocess.Popen(
            [
                binary,
                "-X",
                "-v",
                "VERBOSITY=verbose",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-U",
                "claude-code",
                "-d",
                "shop",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env={"PATH": "/usr/bin:/bin", "PGPASSFILE": str(passfile), "PGCLIENTENCODING": "UTF8"},
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Psql:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, statement: str) -> None:
        """Type a statement without waiting for its answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{statement}\n\\echo {_MARKER}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ResourceError(f"psql ended: {self._rest()}", code="demo.client") from None

    def answer(self) -> str:
        """Everything psql printed up to the end of the statement. Raises ResourceError when psql ends or hangs."""
        lines: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                raise ResourceError(f"psql got no answer within {PATIENCE:.0f} s", code="demo.client") from None
            if line is None:
                raise ResourceError(f"psql ended: {' '.join(lines)}", code="demo.client")
            if line == _MARKER:
                return "\n".join(lines)
            lines.append(line)

    def run(self, statement: str) -> str:
        """Type a statement and give its answer."""
        self.send(statement)
        return self.answer()

    def close(self) -> None:
        """End the session as `\\q` does."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(PATIENCE)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _rest(self) -> str:
        lines = []
        while line := self._lines.get(timeout=PATIENCE):
            lines.append(line)
        return " ".join(lines)
