"""Files that must be there after a power cut: written whole, under a temporary name, then renamed.

A file is durable only once its own bytes and the directory entry that names it are synced; both are done here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from tidegate.errors import ConfigError


def make_directory(path: Path) -> None:
    """A directory for the gateway's own eyes, with its parents."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def refuse_others(path: Path) -> None:
    """Raise ConfigError (``data.exposed``) when other accounts may put files into ``path``, or take some away."""
    if path.stat().st_mode & 0o022:
        raise ConfigError(
            "Other accounts may write into the data directory.",
            path=str(path),
            hint=f"chmod go-w {path}, and look at what is in it.",
            code="data.exposed",
        )


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_directories(root: Path, paths: Iterable[Path]) -> None:
    """Make the names of ``paths`` durable, and those of the directories on the way up to ``root``."""
    directories = {parent for path in paths for parent in path.parents if parent.is_relative_to(root)}
    for directory in sorted(directories, reverse=True):
        sync_directory(directory)


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put ``data`` in place of ``path``, synced but for the directory entry. Raises OSError."""
    make_directory(path.parent)
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with memoryview(data) as view:
            at = 0
            while at < len(view):
                at += os.write(handle, view[at:])
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.rename(path)


def hold(path: Path) -> int:
    """Take the lock file ``path`` for as long as the descriptor given back is open.

    Raises ConfigError (``data.locked``) when another process holds it.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            "Another gateway is using this data directory.",
            path=str(path.parent),
            hint="Stop the other gateway, or give this one a data directory of its own.",
            code="data.locked",
        ) from None
    return handle
