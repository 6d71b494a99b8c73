"""`tidegate break-glass`: get in now, with everybody told; and look at it afterwards."""

from __future__ import annotations

import time
from typing import Annotated

from cyclopts import Parameter

from . import screen
from .remote import connect
from .token import seconds


def open(
    resource: str,
    *,
    reason: Annotated[str, Parameter(help="Why; everybody reads it.")],
    for_: Annotated[str, Parameter(name="--for", help="How long: 15m, 1h at most.")] = "1h",
) -> None:
    """Break the glass of a resource for yourself. Everybody is told, and somebody else will review it.

    Held operations run at once, and refusals that policy marks for it are lifted; masks and evidence stay.
    """
    body = {"resource": resource, "seconds": seconds(for_), "reason": reason}
    found = connect().post("break-glass", body=body)
    until = screen.when(found["expires"], time.time_ns() // 1000)
    screen.note(f"The glass of {resource} is broken until {until} as {found['id']}. Everybody has been told.")
    screen.note(f"Go on with: tidegate connect {resource}")


def listing(
    *,
    unreviewed: Annotated[bool, Parameter(help="Only what nobody has looked at yet.", negative="")] = False,
    output: screen.Output = "table",
) -> None:
    """List broken glass, newest first: your own, or all for who observes the gateway."""
    rows = connect().get("break-glass", unreviewed="true" if unreviewed else None)
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [
            *screen.dig(row, "id", "who", "resource"),
            screen.age(row["opened"], now),
            row["reviewed_by"] or _due(row, now),
        ]
        for row in rows
    ]
    screen.table(("id", "who", "resource", "opened", "reviewed by"), cells, empty="No glass is broken.")


def review(id: str, *, finding: Annotated[str, Parameter(help="What you found; auditors read it.")]) -> None:
    """Say what you found. You must observe the gateway and have had no part in it."""
    connect().post("break-glass", id, "review", body={"finding": finding})
    screen.note(f"Reviewed {id}.")


def _due(row: dict[str, int], now: int) -> str:
    return "(overdue)" if row["due"] < now else f"(due {screen.age(row['due'], now)})"
