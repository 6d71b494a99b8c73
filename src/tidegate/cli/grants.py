"""`tidegate grants`: who may use what, until when, and why."""

from __future__ import annotations

import time
from typing import Annotated

from cyclopts import Parameter

from . import screen
from .remote import connect


def listing(
    *,
    standing: Annotated[bool, Parameter(help="Only access that policy gave without a request.", negative="")] = False,
    output: screen.Output = "table",
    limit: int = 50,
) -> None:
    """List grants, newest first: your own, or all of them for who observes the gateway."""
    rows = list(connect().every("grants", limit=limit, kind="standing" if standing else None))
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [*screen.dig(row, "id", "kind", "state", "title", "resource", "rule"), screen.age(row["expires"], now)]
        for row in rows
    ]
    screen.table(("id", "kind", "state", "who", "resource", "rule", "until"), cells, empty="No grants.")
