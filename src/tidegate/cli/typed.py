"""Secrets that a person types, or that a file holds: never an argument, since those stand in the list of processes."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

from tidegate.errors import AgentError, ConfigError

FILE = "TIDEGATE_PASSWORD_FILE"
"""Variable with the path of a password, for programs; whoever runs as the same user can read what it names."""

LONGEST = 4096


def there() -> bool:
    """Whether somebody sits at a terminal, also when input and output are redirected."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def secret(prompt: str) -> str:
    """What is typed, without showing it. Raises AgentError where nobody can type."""
    if not there():
        raise AgentError(
            "there is no terminal to type a password on",
            hint=f"Set {FILE} to the path of a file that only you may read.",
            code="auth.missing",
        )
    return getpass.getpass(f"{prompt}: ")


def line(prompt: str) -> str:
    """A secret line of standard input: typed without showing it where that is a terminal. Raises AgentError."""
    return secret(prompt).strip() if sys.stdin.isatty() else sys.stdin.readline(LONGEST).strip()


def kept(path: Path | None) -> str | None:
    """The password in ``path`` (``-`` is standard input), or in the file of the environment; None if neither is given.

    Raises ConfigError when others may read the file.
    """
    written = os.environ.get(FILE, "")
    if path is None and not written:
        return None
    place = path or Path(written)
    if str(place) == "-":
        return sys.stdin.readline(LONGEST).rstrip("\r\n")
    with place.open() as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError("others may read this password", path=str(place), hint=f"chmod 600 {place}")
        return file.readline(LONGEST).rstrip("\r\n")


def password(prompt: str, path: Path | None = None) -> str:
    """The password of a file, or typed. Raises AgentError, ConfigError."""
    found = kept(path)
    return secret(prompt) if found is None else found


def fresh(path: Path | None = None) -> str:
    """A new password: of a file, or typed twice. Raises AgentError, ConfigError."""
    found = kept(path)
    if found is not None:
        return found
    first = secret("New password (12 characters or more)")
    if secret("The same again") != first:
        raise AgentError("the two are not the same", hint="Nothing has changed; try again.", code="password.typed")
    return first
