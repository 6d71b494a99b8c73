"""`tidegate approvals`: what waits for a person, shown exactly as it would run."""

from __future__ import annotations

import time
from typing import Annotated, Any

from cyclopts import Parameter

from . import screen
from .remote import connect


def listing(
    *,
    all: Annotated[bool, Parameter(help="Also those already answered.", negative="")] = False,
    output: screen.Output = "table",
    limit: int = 50,
) -> None:
    """List the held operations that you may see."""
    rows = list(connect().every("approvals", limit=limit, state="all" if all else "waiting"))
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [
            *screen.dig(row, "id", "state", "who", "resource"),
            screen.age(row["expires"], now),
            _short(row["statement"]),
        ]
        for row in rows
    ]
    screen.table(
        ("id", "state", "who", "resource", "expires", "statement"), cells, empty="Nothing waits for an answer."
    )


def show(id: str, *, output: screen.Output = "table") -> None:
    """Show the exact statement, who asks through whom, the reason, the rule that asked, and the digest."""
    held = connect().get("approvals", id)
    if output == "json":
        screen.as_json(held)
        return
    _show(held)


def approve(id: str) -> None:
    """Let it run, once. You must be of the group that the rule names, and not in the requester's chain."""
    held = connect().post("approvals", id, "approve")
    done = held["state"] != "waiting"
    screen.note(f"Approved {id}." if done else f"Your yes is counted; {id} waits for more approvers.")


def refuse(id: str, *, reason: Annotated[str, Parameter(help="The requester reads it.")] = "") -> None:
    """Say no; nothing runs."""
    connect().post("approvals", id, "refuse", body={"reason": reason})
    screen.note(f"Refused {id}.")


def _show(held: dict[str, Any]) -> None:
    now = time.time_ns() // 1000
    screen.facts(
        [
            ("approval", held["id"]),
            ("state", held["state"]),
            ("who asks", held["who"]),
            ("resource", held["resource"]),
            ("reason", _stated(held)),
            ("rule", held["rule"]),
            ("because", held["because"]),
            ("needs", "; ".join(held["needs"])),
            ("approved by", ", ".join(held["approved_by"])),
            ("expires", screen.when(held["expires"], now)),
            ("answer", held["answer"]),
            ("digest", held["digest"]),
            ("policy", held["bundle"]),
        ]
    )
    screen.console().print()
    screen.statement(held["statement"])
    if held["parameters"]:
        screen.facts([("parameters", held["parameters"])])
    if held["state"] == "waiting":
        screen.console().print()
        screen.note(f"Answer: tidegate approvals approve {held['id']}")
        screen.note(f"    or: tidegate approvals refuse {held['id']} --reason WHY")


def _stated(held: dict[str, Any]) -> str:
    """The reason, never without saying whose word it is; nothing for an approval that is over."""
    return f"{held['reason'] or '(none)'}   [stated by the {held['stated_by']}]" if held["stated_by"] else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 72 else f"{line[:71]}…"
