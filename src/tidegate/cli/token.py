"""`tidegate token`: signed, short-lived tokens, each bound to one resource and one grant."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tidegate.errors import AgentError

from . import screen
from .credentials import write_private
from .remote import connect

_UNITS = {"s": 1, "m": 60, "h": 3600}


def create(
    *,
    resource: Annotated[str, Parameter(help="The resource that the token opens, and no other.")],
    agent: Annotated[str, Parameter(help="The agent that will act; a token for a person without it.")] = "",
    for_: Annotated[str, Parameter(name="--for", help="The accountable person; yourself if left out.")] = "",
    ttl: Annotated[str, Parameter(help="How long: 30s, 15m, 8h.")] = "15m",
    reason: Annotated[str, Parameter(help="What it is for; approvers and auditors read it.")] = "",
    out: Annotated[Path | None, Parameter(help="Write a password file (mode 0600) instead of printing.")] = None,
    output: screen.Output = "table",
) -> None:
    """Mint a token and the grant that it needs. Standard output has the token and nothing else."""
    body = {"resource": resource, "agent": agent, "person": for_, "ttl": seconds(ttl), "reason": reason}
    answer = connect().post("tokens", body=body)
    if out is not None:
        # HOST:PORT:DATABASE:USER:PASSWORD, as password files have it; a token has no character to escape.
        write_private(out, f"*:*:*:*:{answer['token']}\n")
    elif output == "json":
        screen.as_json(answer)
    else:
        print(answer["token"])
    until = screen.when(answer["expires"] * 1_000_000, time.time_ns() // 1000)
    place = f"; written to {out}" if out else ""
    screen.note(f"{answer['title']} may use {resource} until {until}, grant {answer['grant']}{place}")


def listing(*, output: screen.Output = "table", limit: int = 50) -> None:
    """List tokens: your own, or all of them for who observes the gateway. Tokens themselves are never kept."""
    rows = list(connect().every("tokens", limit=limit))
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [*screen.dig(row, "id", "title", "resource", "grant", "state"), screen.when(row["expires"] * 1_000_000, now)]
        for row in rows
    ]
    screen.table(("id", "who", "resource", "grant", "state", "until"), cells, empty="No tokens.")


def revoke(id: Annotated[str, Parameter(help="Of a token or of a grant.")]) -> None:
    """End a token or a grant at once, with the sessions it carries."""
    answer = connect().delete("tokens", id)
    screen.note(f"Revoked {id}; {answer['tokens']} token(s) no longer open anything.")


def seconds(text: str) -> int:
    """A duration such as ``15m`` in seconds. Raises AgentError when it is none."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smh])", text)
    if match is None:
        raise AgentError(f"{text!r} is not a duration", code="request.duration", hint="Write 30s, 15m or 8h.")
    return int(match[1]) * _UNITS[match[2]]
