"""`tidegate notices`: what people were told outside of the gateway, and whether it arrived."""

from __future__ import annotations

import time
from typing import Literal

from . import screen
from .remote import connect

State = Literal["all", "waiting", "sent", "failed", "dropped"]


def listing(*, state: State = "all", output: screen.Output = "table", limit: int = 50) -> None:
    """List notices, newest first. Needs the ability to observe the gateway."""
    rows = list(connect().every("notices", limit=limit, state=state))
    if output == "json":
        screen.as_json(rows)
        return
    columns, now = ("id", "state", "attempts", "made", "error"), time.time_ns() // 1000
    shown = [
        [*screen.dig(row, "id", "state", "attempts"), screen.when(row["made"], now), *screen.dig(row, "error")]
        for row in rows
    ]
    screen.table(columns, shown, empty="Nobody was told anything.")


def retry(id: str) -> None:
    """Send one that failed once more, or one that waits now. Needs the ability to operate the gateway."""
    row = connect().post("notices", id, "retry")
    screen.note(f"{row['id']} is on its way: tidegate notices ls")
