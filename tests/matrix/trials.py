"""What a client program of the matrix is: it does what its users do, and prints one line of JSON for each thing tried.

A program learns where to connect from libpq's environment variables (PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD)
and does not know whether a gateway is there. The first line is ``{"client": version}``; each further line is
``{"tried", "got"}`` or ``{"tried", "failed"}``, with ``"refused": true`` where an ordinary policy says no by design,
and ``"withheld": text`` where the gateway keeps that text back by design. ``{"tried", "unsupported": why}`` says that
the client or the server does not offer this. Programs in other languages print the same
lines. The working directory is the program's own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

DEADLINE = 90
"""Seconds that one trial may take; a client that waits for ever is a result, too."""


Act = Callable[[], object]


class Unsupported(Exception):
    """The client or this server does not offer this; says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that users of the client do; ``act`` gives what they see."""

    name: str
    act: Act
    refused: bool
    withheld: str


class Trials:
    """The trials of one program, in order."""

    def __init__(self) -> None:
        self._trials: list[Trial] = []
        self.unsupported = ""
        """Why the client does nothing at all with this version of the server."""

    def __call__(self, name: str, *, refused: bool = False, withheld: str = "") -> Callable[[Act], Act]:
        """Decorator: ``name`` is what was tried; ``refused`` says that an ordinary policy does not allow it, and
        ``withheld`` what of the result a gateway with masks in force keeps back."""

        def keep(act: Act) -> Act:
            self._trials.append(Trial(name, act, refused, withheld))
            return act

        return keep

    def run(self, client: str) -> None:
        """Try everything and print the lines; an exception is what the trial's user would see."""
        say({"client": client})
        signal.signal(signal.SIGALRM, _late)
        for trial in self._trials:
            line: dict[str, object] = {"tried": trial.name}
            line |= ({"refused": True} if trial.refused else {}) | (
                {"withheld": trial.withheld} if trial.withheld else {}
            )
            signal.alarm(DEADLINE)
            try:
                if self.unsupported:
                    raise Unsupported(self.unsupported)
                say(line | {"got": trial.act()})
            except Unsupported as reason:
                say({"tried": trial.name, "unsupported": str(reason)})
            except Exception as error:
                say(line | {"failed": f"{type(error).__name__}: {error}"})
            signal.alarm(0)


def say(line: dict[str, object]) -> None:
    """Print one line for the runner."""
    print(json.dumps(line, default=_plain, sort_keys=True), flush=True)


def _late(_number: int, _frame: object) -> None:
    raise TimeoutError(f"nothing after {DEADLINE} seconds")


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def program(name: str) -> str:
    """A program of PostgreSQL's, of the version that is tried."""
    return str(Path(os.environ["PGBIN"]) / name)


def run(*command: str, stdin: str = "", status: int = 0, **more: str) -> str:
    """Run a command and give both of its outputs; an exit status other than ``status`` raises CommandFailed,
    which says what came from the first error on."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | more,
        check=False,
    )
    if done.returncode != status:
        error = re.search(r"^.*(ERROR|error:)", done.stdout, re.MULTILINE)
        said = done.stdout[error.start() if error else 0 :].strip()
        raise CommandFailed(f"exit status {done.returncode}: {said[:600]}")
    return done.stdout


class CommandFailed(Exception):
    """A command ended with another exit status than its user expects."""
