"""Where the command line keeps its login: one file that only its owner may read.

The file is ``credentials.json`` in ``$TIDEGATE_HOME`` (default ``~/.config/tidegate``), mode 0600, replaced atomically.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tidegate.errors import AgentError, ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login at one gateway: its base URL, the login token, who it is for, until when (Unix seconds), a CA file."""

    gateway: str
    token: str = field(repr=False)
    name: str
    expires: int
    ca: str = ""


def home() -> Path:
    """The directory of the credentials file."""
    return Path(os.environ.get("TIDEGATE_HOME") or Path.home() / ".config" / "tidegate")


def load() -> Credentials:
    """The stored login. Raises AgentError when there is none, ConfigError when the file is damaged or not private."""
    path = home() / "credentials.json"
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise AgentError(
            "You are not logged in.",
            code="auth.missing",
            hint="tidegate login --gateway URL",
        ) from None
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError("others may read this file", path=str(path), hint=f"chmod 600 {path}")
    try:
        return Credentials(**json.loads(text))
    except (ValueError, TypeError):
        raise ConfigError("this is not a credentials file", path=str(path), hint="tidegate login again") from None


def save(credentials: Credentials) -> Path:
    """Store a login in place of the one before; returns the file."""
    path = home() / "credentials.json"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps(asdict(credentials)) + "\n")
    return path


def forget() -> bool:
    """Remove the stored login and the files of `tidegate env`; False if there was no login."""
    path = home() / "credentials.json"
    shutil.rmtree(home() / "env", ignore_errors=True)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, atomically and whatever the umask; an existing one is replaced."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
