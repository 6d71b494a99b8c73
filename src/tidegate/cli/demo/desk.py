"""One person's terminal: the real `tidegate` command in a process of its own, with that person's own login.

What is typed and what comes back is shown on the page, except where a step only needs the answer.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tidegate.errors import TidegateError

from .page import Page

PATIENCE = 60.0
"""Seconds a command may take before the demo calls it stuck."""


class Desk:
    """A person called ``name`` whose credentials live in ``home``; commands run in ``directory``."""

    def __init__(self, name: str, home: Path, directory: Path, page: Page) -> None:
        self.name, self.home, self.directory, self._page = name, home, directory, page
        home.mkdir(mode=0o700, exist_ok=True)

    def types(self, *arguments: str, expect: Iterable[int] = (0,)) -> str:
        """Run a command with everything shown; gives what it printed. Raises TidegateError on another exit status."""
        self._page.typed(self.name, "$", shlex.join(("tidegate", *map(self._short, arguments))))
        done = self._run(arguments, expect)
        self._page.shown(done.stdout + done.stderr)
        return done.stdout

    def quietly(self, *arguments: str) -> str:
        """Run a command without showing it; gives its standard output."""
        return self._run(arguments, (0,)).stdout.strip()

    def asks(self, *arguments: str) -> Any:
        """Run a command without showing it; gives its JSON answer."""
        return json.loads(self.quietly(*arguments, "-o", "json"))

    def _short(self, argument: str) -> str:
        # Paths below the demo's directory are typed as they would be from there.
        path = Path(argument)
        return str(path.relative_to(self.directory)) if path.is_relative_to(self.directory) else argument

    def _run(self, arguments: Iterable[str], expect: Iterable[int]) -> subprocess.CompletedProcess[str]:
        command = list(arguments)
        done = subprocess.run(
            [sys.executable, "-m", "tidegate", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.directory,
            env={**os.environ, "TIDEGATE_HOME": str(self.home)},
            check=False,
        )
        if done.returncode not in tuple(expect):
            raise TidegateError(
                f"`tidegate {shlex.join(command)}` as {self.name} ended with status {done.returncode}: "
                f"{(done.stderr or done.stdout).strip()}",
                code="demo.promise",
            )
        return done
