"""`tidegate login`, `logout`, `whoami`: who this terminal is to the gateway."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from . import credentials, screen
from .remote import Gateway, checked, connect


def login(
    *,
    code: Annotated[str, Parameter(help="One-time code, or - to read it from standard input.")],
    gateway: Annotated[str, Parameter(help="Address of the gateway's API.")] = "http://127.0.0.1:7443",
    name: Annotated[str, Parameter(help="Your name; only the very first administrator chooses one.")] = "",
    ca: Annotated[str, Parameter(help="PEM certificate to trust for https.")] = "",
) -> None:
    """Exchange a one-time code for a login. With --name the code is the bootstrap code that `serve` printed."""
    secret = sys.stdin.readline().strip() if code == "-" else code
    remote = Gateway(gateway, ca=ca)
    answer = (
        remote.post("bootstrap", body={"code": secret, "name": name})
        if name
        else remote.post("enrol", body={"code": secret})
    )
    stored = credentials.Credentials(checked(gateway), answer["token"], answer["name"], answer["expires"], ca)
    path = credentials.save(stored)
    screen.note(f"Logged in as {stored.name}; kept in {path}.")


def logout() -> None:
    """End the login at the gateway and forget it here."""
    try:
        stored = credentials.load()
        Gateway(stored.gateway, stored.token, stored.ca).post("logout")
    finally:
        credentials.forget()
    screen.note("Logged out.")


def whoami(*, output: screen.Output = "table") -> None:
    """Show your name, groups, and until when the login lasts."""
    me = connect().get("me")
    if output == "json":
        screen.as_json(me)
        return
    now = me["now"]
    screen.facts(
        [
            ("name", me["name"]),
            ("subject", me["subject"]),
            ("groups", ", ".join(me["groups"])),
            ("login until", screen.when(me["expires"] * 1_000_000, now)),
        ]
    )
