"""`tidegate login`, `logout`, `whoami`: who this terminal is to the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from . import browser, credentials, screen, typed
from .remote import Gateway, checked, connect


def login(
    *,
    code: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="One-time code, or - to type it: others can see arguments.")
    ] = "",
    gateway: Annotated[str, Parameter(help="Address of the gateway's API.")] = "http://127.0.0.1:7443",
    name: Annotated[str, Parameter(help="Log in by password as this person.")] = "",
    password_file: Annotated[
        Path | None, Parameter(allow_leading_hyphen=True, help="Read the password from this file, - for input.")
    ] = None,
    ca: Annotated[str, Parameter(help="PEM certificate to trust for https.")] = "",
    no_browser: Annotated[bool, Parameter(negative="", help="Only print the address, open no browser.")] = False,
) -> None:
    """Log in: through a browser; with --name by password; with --code, where one chooses a password.

    With --code and --name the code is the bootstrap code that `serve` printed, and the name is the first
    administrator's. A password is typed, or read from --password-file or $TIDEGATE_PASSWORD_FILE, never an argument.
    """
    secret = typed.line("One-time code") if code == "-" else code
    remote = Gateway(gateway, ca=ca)
    if secret:
        answer = _enrolled(remote, secret, name, typed.fresh(password_file))
    elif name:
        answer = _by_password(remote, name, password_file)
    else:
        answer = browser.log_in(remote, open_browser=not no_browser)
    stored = credentials.Credentials(checked(gateway), answer["token"], answer["name"], answer["expires"], ca)
    path = credentials.save(stored)
    screen.note(f"Logged in as {stored.name}; kept in {path}.")


def _enrolled(remote: Gateway, code: str, name: str, password: str) -> Any:
    body = {"code": code, "password": password}
    return remote.post("bootstrap", body={**body, "name": name}) if name else remote.post("enrol", body=body)


def _by_password(remote: Gateway, name: str, file: Path | None) -> Any:
    """One-time passwords are asked for where somebody can type one: whether one is needed is nobody's business."""
    password = typed.password(f"Password of {name}", file)
    otp = typed.secret("One-time password (nothing if you use none)") if typed.there() and file is None else ""
    return remote.post("login", body={"name": name, "password": password, "otp": otp})


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
