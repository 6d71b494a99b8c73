"""`tidegate kill`: end what somebody or something may do, now."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tidegate.errors import AgentError

from . import screen
from .remote import connect


def kill(
    *,
    session: Annotated[str, Parameter(help="A session by id, with its grant and all that the grant carries.")] = "",
    identity: Annotated[str, Parameter(help="Everything a person or agent has a part in, their logins too.")] = "",
    agent: Annotated[str, Parameter(help="Everything an agent has a part in.")] = "",
    resource: Annotated[str, Parameter(help="Everything on a resource.")] = "",
    all: Annotated[bool, Parameter(help="Everything on every resource.", negative="")] = False,
    reason: Annotated[str, Parameter(help="Agents and auditors read it.")] = "",
) -> None:
    """End sessions within a second, cancel what they run, revoke their tokens and grants. Needs to operate the gateway.

    What is given afterwards is valid: to keep somebody out, disable them.
    """
    named = {"session": session, "identity": identity, "agent": agent, "resource": resource}
    chosen = [(what, name) for what, name in named.items() if name] + ([("all", "")] if all else [])
    if len(chosen) != 1:
        raise AgentError("name one thing to end", hint="See: tidegate kill --help", code="request.kill")
    what, name = chosen[0]
    answer = connect().post("kill", body={"what": what, "name": name, "reason": reason})
    ended = ", ".join(f"{answer[each]} {each}" for each in ("sessions", "grants", "tokens"))
    screen.note(f"Ended {what} {name}".rstrip() + f": {ended}.")
