"""`tidegate people`: who may log in."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from . import screen
from .remote import connect

Groups = Annotated[tuple[str, ...], Parameter(name=["--group", "-g"], help="May be given several times.")]


def add(name: str, *, group: Groups = (), output: screen.Output = "table") -> None:
    """Add a person and print their one-time code. Needs the ability to operate the gateway."""
    gateway = connect()
    answer = gateway.post("people", body={"name": name, "groups": list(group)})
    if output == "json":
        screen.as_json(answer)
        return
    screen.note(f"{name} logs in once, within a day: tidegate login --code CODE --gateway {gateway.url}")
    print(answer["code"])


def code(name: str) -> None:
    """Print another one-time code for a person whose login has ended. Needs the ability to operate the gateway."""
    gateway = connect()
    answer = gateway.post("people", name, "code")
    screen.note(f"{name} logs in once, within a day: tidegate login --code CODE --gateway {gateway.url}")
    print(answer["code"])


def disable(name: str) -> None:
    """Disable a person: logins, tokens and sessions, those of their agents too, end at once. Needs operate."""
    connect().post("people", name, "disable")
    screen.note(f"{name} is disabled.")


def listing(*, output: screen.Output = "table") -> None:
    """List people with their groups."""
    rows = connect().get("people")["items"]
    if output == "json":
        screen.as_json(rows)
        return
    columns = ("name", "subject", "groups", "state")
    screen.table(columns, [screen.dig(row, *columns) for row in rows], empty="Nobody yet.")
