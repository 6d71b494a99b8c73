"""One person's terminal: the real `tidegate` command in a process of its own, with that person's own login.

A command that is shown runs on a pseudo-terminal as wide as the page, so that its output looks as it would to a person.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import secrets
import shlex
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from tidegate.cli.credentials import write_private
from tidegate.cli.typed import FILE
from tidegate.errors import TidegateError

from .page import Page

PATIENCE = 60.0
"""Seconds a command may take before it is ended as stuck."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Desk:
    """A person called ``name`` whose credentials live in ``home``; commands run in ``directory``.

    Their password is in a file, as programs have it; a person would be asked on the terminal.
    """

    def __init__(self, name: str, home: Path, directory: Path, page: Page) -> None:
        self.name, self.home, self.directory, self._page = name, home, directory, page
        home.mkdir(mode=0o700, exist_ok=True)
        write_private(home / "password", f"{secrets.token_urlsafe(18)}\n")

    def types(self, *arguments: str | Path, expect: Iterable[int] = (0,), brief: bool = False) -> str:
        """Run a command with everything shown; gives what it printed, without colours.

        ``brief`` shows of a report only what is wrong. Raises TidegateError on another exit status.
        """
        command = [self._short(argument) for argument in arguments]
        self._page.typed(self.name, "$", shlex.join(("tidegate", *command)))
        status, output = self._on_terminal(command)
        self._page.screen(_shortened(output) if brief else output)
        return self._expected(command, status, _STYLE.sub("", output), expect)

    def asks(self, *arguments: str) -> Any:
        """Run a command without showing it; gives its JSON answer. Raises TidegateError when it fails."""
        command = [*arguments, "-o", "json"]
        done = subprocess.run(
            self._command(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.directory,
            env=self._environment(),
            check=False,
        )
        return json.loads(self._expected(command, done.returncode, done.stdout or done.stderr, (0,)))

    def _on_terminal(self, command: list[str]) -> tuple[int, str]:
        reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, self._page.inner, 0, 0))
        process = subprocess.Popen(
            self._command(command),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            cwd=self.directory,
            env=self._environment(),
        )
        os.close(writer)
        stuck = threading.Timer(PATIENCE, process.kill)
        stuck.start()
        output = everything(reader)
        stuck.cancel()
        return process.wait(), output

    def _expected(self, command: list[str], status: int, output: str, expect: Iterable[int]) -> str:
        if status not in tuple(expect):
            raise TidegateError(
                f"`tidegate {shlex.join(command)}` as {self.name} ended with status {status}",
                hint=f"It said: {output.strip()}",
                code="demo.promise",
            )
        return output

    def _short(self, argument: str | Path) -> str:
        # Paths below the demo's directory are given as one would type them there.
        path = Path(argument)
        return str(path.relative_to(self.directory) if path.is_relative_to(self.directory) else argument)

    def _command(self, command: list[str]) -> list[str]:
        return [sys.executable, "-m", "tidegate", *command]

    def _environment(self) -> dict[str, str]:
        colour = {"TERM": "xterm-256color"} if self._page.colour else {"TERM": "xterm", "NO_COLOR": "1"}
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        return {
            **inherited,
            **colour,
            "TIDEGATE_HOME": self._short(self.home),
            FILE: self._short(self.home / "password"),
        }


def everything(reader: int) -> str:
    """What is written to the other end of a pseudo-terminal until it is closed."""
    parts = []
    with os.fdopen(reader, "rb", buffering=0) as file:
        try:
            while part := file.read(65_536):
                parts.append(part)
        except OSError:
            pass  # Linux says EIO when the last writer has closed
    return b"".join(parts).decode(errors="replace").replace("\r\n", "\n")


def _shortened(report: str) -> str:
    """``report`` with its ``ok`` lines counted, and when something is wrong without what it never proves."""
    lines = [(line, _STYLE.sub("", line)) for line in report.split("\n")]
    fine = sum(text.startswith("ok ") for _, text in lines)
    if not fine:
        return report
    rest = [(line, text) for line, text in lines if not text.startswith("ok ") and text.strip() != "CHECK"]
    if any(text.startswith("error ") for _, text in rest):
        rest = list(takewhile(lambda each: not each[1].startswith("not proven:"), rest))
    return "\n".join([f"... {fine} checks are ok ...", *(line for line, _ in rest)])
