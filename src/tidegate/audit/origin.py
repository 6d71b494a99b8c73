"""The name of a log: ``<organisation>/gw/<gateway>/<year>``, fixed when its shard is made."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from tidegate.clock import Clock
from tidegate.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}\Z")


def origin_of(directory: Path, organisation: str, gateway: str, clock: Clock) -> str:
    """The name of the log: that of the shard on disk, or of a new one after the current year. Raises ConfigError."""
    if not _NAME.match(organisation) or not _NAME.match(gateway):
        raise ConfigError("Organisation and gateway are named by letters, digits, dots and dashes.", code="log.name")
    year = datetime.fromtimestamp(clock.now() / 1_000_000, UTC).year
    shard = next((path.name for path in sorted((directory / "log").glob("*"), reverse=True)), str(year))
    origin = f"{organisation}/gw/{gateway}/{shard}"
    checkpoint = directory / "log" / shard / "checkpoint"
    if checkpoint.exists():
        found = checkpoint.read_bytes().partition(b"\n")[0]
        if found != origin.encode():
            raise ConfigError(
                f"The data directory belongs to {found.decode(errors='replace')!r}, not to {origin}.",
                path=str(directory),
                hint="Give this gateway a data directory of its own, or restore its name in the configuration.",
            )
    return origin
