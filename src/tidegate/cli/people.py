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
    screen.note(f"{name} logs in once, within a day: tidegate login --code - --gateway {gateway.url}")
    print(answer["code"])


def code(name: str) -> None:
    """Print another one-time code for a person whose login has ended. Needs the ability to operate the gateway."""
    gateway = connect()
    answer = gateway.post("people", name, "code")
    screen.note(f"{name} logs in once, within a day: tidegate login --code - --gateway {gateway.url}")
    print(answer["code"])


def disable(name: str) -> None:
    """Disable a person: logins, tokens and sessions, those of their agents too, end at once. Needs operate."""
    connect().post("people", name, "disable")
    screen.note(f"{name} is disabled.")


def link(name: str, *, provider: str = "", subject: str = "", email: str = "", same_as: str = "") -> None:
    """Say who somebody is: at an identity provider, or that two accounts are one person's. Needs operate.

    Either --provider with the provider's own --subject for them, or with an --email address that the first who logs in
    with it takes; or --same-as OTHER, which cannot be undone: neither may approve what the other asks for.
    """
    body = {"provider": provider, "subject": subject, "email": email, "same_as": same_as}
    connect().post("people", name, "links", body=body)
    screen.note(f"{name} and {same_as} are one person." if same_as else f"{name} logs in at {provider}.")


def links(name: str, *, output: screen.Output = "table") -> None:
    """List how a person is known at identity providers: oneself, or anybody for who observes the gateway."""
    rows = connect().get("people", name, "links")["items"]
    if output == "json":
        screen.as_json(rows)
        return
    columns = ("id", "provider", "subject", "email")
    screen.table(columns, [screen.dig(row, *columns) for row in rows], empty="No links.")


def unlink(name: str, id: str) -> None:
    """End a link, and the groups that the provider gave by it. Needs operate."""
    connect().delete("people", name, "links", id)
    screen.note(f"The link {id} of {name} has ended.")


def listing(*, output: screen.Output = "table") -> None:
    """List people with their groups."""
    rows = connect().get("people")["items"]
    if output == "json":
        screen.as_json(rows)
        return
    columns = ("name", "subject", "groups", "state")
    screen.table(columns, [screen.dig(row, *columns) for row in rows], empty="Nobody yet.")
