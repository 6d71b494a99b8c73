"""`tidegate approvals`: what waits for a person, shown exactly as it would run."""

from __future__ import annotations

import time
from typing import Annotated, Any

from cyclopts import Parameter

from . import screen
from .remote import connect
from .stepup import Key


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
    gateway = connect()
    held = gateway.get("approvals", id)
    looks = held["may_answer"] and held["matter"] == "operation"
    impact = gateway.get("approvals", id, "impact") if looks else None
    if output == "json":
        screen.as_json({**held, "impact": impact})
        return
    _show(held, impact)


def attempt(id: str, *, output: screen.Output = "table") -> None:
    """Do it, show what it did, and take it back. Only where all of it can be taken back; else it says why not."""
    impact = connect().post("approvals", id, "try")
    if output == "json":
        screen.as_json(impact)
        return
    screen.facts(_impact(impact))
    for name in ("before", "after"):
        if impact[name]:
            screen.console().print(screen.word(f"\n{name}:"))
            rows = [["null" if value is None else value for value in row] for row in impact[name]["rows"]]
            screen.table(impact[name]["columns"], rows, empty="No rows.")


def wait(id: str, *, output: screen.Output = "table") -> int:
    """Wait until it is answered, as long as it can be. Exit status 0 for a yes, 1 for a no or none in time."""
    gateway = connect()
    with screen.waiting(f"{id} waits for an answer"):
        while (held := gateway.get("approvals", id, wait=20))["state"] == "waiting":
            pass
    if output == "json":
        screen.as_json(held)
    else:
        said = f": {held['answer']}" if held["answer"] else ""
        screen.note(f"{id} is {held['state']}{said}.")
    return 0 if held["state"] in ("approved", "used") else 1


def approve(id: str, *, key: Key = None) -> None:
    """Let it run, once. You must be of the group that the rule names, have no part in it, and prove it is you."""
    held = connect(key).post("approvals", id, "approve")
    done = held["state"] != "waiting"
    screen.note(f"Approved {id}." if done else f"Your yes is counted; {id} waits for more approvers.")


def refuse(id: str, *, reason: Annotated[str, Parameter(help="The requester reads it.")] = "", key: Key = None) -> None:
    """Say no; nothing runs."""
    connect(key).post("approvals", id, "refuse", body={"reason": reason})
    screen.note(f"Refused {id}.")


def _impact(impact: dict[str, Any]) -> list[tuple[str, str]]:
    """What it would do, or why that is not known."""
    if impact["unknown"]:
        return [("would change", f"unknown: {impact['unknown']}")]
    how = "tried, and taken back" if impact["exact"] else "estimated"
    rows = "" if impact["rows"] is None else f"{impact['rows']:,} rows ({how})"
    return [("would touch", rows), ("objects", ", ".join(impact["objects"])), ("but", "; ".join(impact["notes"]))]


def _show(held: dict[str, Any], impact: dict[str, Any] | None) -> None:
    now = time.time_ns() // 1000
    screen.facts(
        [
            ("approval", held["id"]),
            ("state", held["state"]),
            ("asked for", held["matter"]),
            ("who asks", " -> ".join(f"{hop['name']} ({hop['proof']})" for hop in held["chain"])),
            ("resource", held["resource"]),
            ("reason", _stated(held)),
            ("rule", held["rule"]),
            ("because", held["because"]),
            ("needs", "; ".join(held["needs"])),
            ("approved by", ", ".join(_yes(each) for each in held["yes"])),
            ("expires", screen.when(held["expires"], now)),
            ("answer", held["answer"]),
            ("digest", held["digest"]),
            ("policy", held["bundle"]),
        ]
    )
    screen.console().print()
    screen.statement(held["statement"])
    values = impact["values"] if impact else []
    if held["parameters"]:
        screen.facts([("parameters", ", ".join(values) or held["parameters"])])
    if impact:
        screen.console().print()
        screen.facts(_impact(impact))
    if held["state"] == "waiting":
        screen.console().print()
        screen.note(f"   Try: tidegate approvals try {held['id']}")
        screen.note(f"Answer: tidegate approvals approve {held['id']}")
        screen.note(f"    or: tidegate approvals refuse {held['id']} --reason WHY")


def _yes(yes: dict[str, Any]) -> str:
    """Who, and whether their own key signed it: an unsigned yes is the gateway's word."""
    return f"{yes['name']} ({yes['method']}, {'signed' if yes['signed'] else 'not signed'})"


def _stated(held: dict[str, Any]) -> str:
    """The reason, never without saying whose word it is; nothing for an approval that is over."""
    return f"{held['reason'] or '(none)'}   [stated by the {held['stated_by']}]" if held["stated_by"] else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 72 else f"{line[:71]}…"
