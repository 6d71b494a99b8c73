"""`tidegate request`: access that is asked for before it is used."""

from __future__ import annotations

import time
from typing import Annotated, Any

from cyclopts import Parameter

from . import screen
from .remote import connect
from .token import seconds


def new(
    resource: str,
    *,
    for_: Annotated[str, Parameter(name="--for", help="How long, from the approval on: 30m, 2h.")] = "30m",
    reason: Annotated[str, Parameter(help="What it is for; approvers and auditors read it.")] = "",
    agent: Annotated[str, Parameter(help="The agent of yours that will act; yourself if left out.")] = "",
    wait: Annotated[bool, Parameter(help="Wait for the answer.", negative="")] = False,
    output: screen.Output = "table",
) -> int:
    """Ask for access to a resource. Policy approves at once, or names the people who are asked."""
    body = {"resource": resource, "seconds": seconds(for_), "reason": reason, "agent": agent}
    found = connect().post("requests", body=body)
    if wait:
        found = _answered(found)
    if output == "json":
        screen.as_json(found)
    else:
        screen.note(_said(found))
    return 1 if found["state"] == "denied" else 0


def listing(*, output: screen.Output = "table", limit: int = 50) -> None:
    """List requests, newest first: yours and your agents', or all for who observes the gateway."""
    rows = list(connect().every("requests", limit=limit))
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [
            *screen.dig(row, "id", "state", "title", "resource"),
            screen.duration(row["seconds"]),
            screen.age(row["expires"], now),
        ]
        for row in rows
    ]
    screen.table(("id", "state", "who", "resource", "for", "until"), cells, empty="Nothing was asked for.")


def show(
    id: str,
    *,
    wait: Annotated[bool, Parameter(help="Wait for the answer.", negative="")] = False,
    output: screen.Output = "table",
) -> int:
    """Show a request. Exit status 0 unless it was denied."""
    found = connect().get("requests", id)
    if wait:
        found = _answered(found)
    if output == "json":
        screen.as_json(found)
    else:
        _facts(found)
    return 1 if found["state"] == "denied" else 0


def withdraw(id: str) -> None:
    """Take a request back that nobody has answered yet."""
    connect().post("requests", id, "withdraw")
    screen.note(f"Withdrew {id}.")


def _answered(found: dict[str, Any]) -> dict[str, Any]:
    gateway = connect()
    while found["state"] == "requested":
        found = gateway.get("requests", found["id"], wait=20)
    return found


def _said(found: dict[str, Any]) -> str:
    match found["state"]:
        case "requested":
            return (
                f"Asked as {found['id']}; approval {found['approval']} waits. See: tidegate request show {found['id']}"
            )
        case "approved" | "active":
            until = screen.when(found["expires"], time.time_ns() // 1000)
            return f"{found['title']} may use {found['resource']} until {until}, request {found['id']}."
        case state:
            return f"Request {found['id']} is {state}."


def _facts(found: dict[str, Any]) -> None:
    now = time.time_ns() // 1000
    screen.facts(
        [
            ("request", found["id"]),
            ("state", found["state"]),
            ("who", found["title"]),
            ("resource", found["resource"]),
            ("for", screen.duration(found["seconds"])),
            ("until", screen.when(found["expires"], now)),
            ("reason", found["reason"]),
            ("rule", found["rule"]),
            ("approval", found["approval"]),
        ]
    )
