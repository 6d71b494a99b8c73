"""A person at a terminal: the real `tidegate` in a process of its own on a pseudo-terminal, and what they type."""

from __future__ import annotations

import os
import pty
import re
import select
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 60.0
"""Seconds until the next question, and until the end."""


def types(
    home: Path, command: Sequence[str], answers: Sequence[tuple[str, str]], **environment: str
) -> tuple[int, str]:
    """Run a command and type each answer when its question is shown; gives the exit status and all that was shown.

    Raises AssertionError when a question does not come.
    """
    child, terminal = pty.fork()
    if not child:
        os.execve(sys.executable, [sys.executable, "-m", "tidegate", *command], _variables(home, environment))
    shown, seen = "", 0
    for question, answer in answers:
        while (found := re.search(question, shown[seen:])) is None:
            more = _more(terminal)
            assert more, f"it never asked {question!r}:\n{shown}"
            shown += more
        seen += found.end()
        os.write(terminal, answer.encode() + b"\n")
    while more := _more(terminal):
        shown += more
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.replace("\r\n", "\n")


def _variables(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return {**kept, "TIDEGATE_HOME": str(home), "TERM": "dumb", "COLUMNS": "200", **more}


def _more(terminal: int) -> str:
    """What is shown next; empty once the program has ended or nothing comes."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            return os.read(terminal, 65_536).decode(errors="replace")
        except OSError:  # Linux says EIO when the program has ended
            return ""
    return ""
