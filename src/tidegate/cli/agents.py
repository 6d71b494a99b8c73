"""`tidegate agents`: what acts for people."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from . import screen
from .people import Groups
from .remote import connect


def add(
    name: str,
    *,
    owner: Annotated[str, Parameter(help="The person it acts for; yourself if left out.")] = "",
    group: Groups = (),
) -> None:
    """Add an agent; it is in the group `agents`, and only an administrator gives it more."""
    answer = connect().post("agents", body={"name": name, "owner": owner, "groups": list(group)})
    screen.note(
        f"{answer['name']} acts for {answer['owner']}; mint its tokens with: tidegate token create --agent {name}"
    )


def disable(name: str) -> None:
    """Disable an agent, your own or any with the ability to operate: its sessions end at once."""
    connect().post("agents", name, "disable")
    screen.note(f"{name} is disabled.")


def listing(*, output: screen.Output = "table") -> None:
    """List agents: your own, or all of them for who observes the gateway."""
    rows = connect().get("agents")["items"]
    if output == "json":
        screen.as_json(rows)
        return
    columns = ("name", "owner", "groups", "state")
    screen.table(columns, [screen.dig(row, *columns) for row in rows], empty="No agents yet: tidegate agents add NAME")
