"""`tidegate credentials`: what you prove with that it is you."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from tidegate.errors import AgentError

from . import screen, typed
from .remote import Gateway, connect
from .stepup import Key

Method = Literal["totp", "ssh", "passkey", "password"]


def add(
    method: Annotated[Method, Parameter(help="One-time passwords, an ssh key, a passkey, or another password.")],
    file: Annotated[Path | None, Parameter(help="The .pub file of an ssh key.")] = None,
    *,
    label: Annotated[str, Parameter(help="What you call it.")] = "",
    key: Key = None,
) -> None:
    """Add a credential; you prove that it is you with one that you have."""
    gateway = connect(key)
    if method == "ssh":
        _add_ssh(gateway, file, label)
    elif method == "totp":
        _add_totp(gateway, label)
    elif method == "password":
        gateway.post("me", "password", body={"password": typed.fresh()})
        screen.note("Your password is another one now.")
    else:
        page = gateway.get("me", "credentials")["page"]
        screen.note(f"A browser makes passkeys: open {page} and add one there.")


def listing(*, output: screen.Output = "table") -> None:
    """List your credentials, never their secrets."""
    found = connect().get("me", "credentials")
    if output == "json":
        screen.as_json(found)
        return
    columns = ("id", "method", "label")
    screen.table(columns, [screen.dig(row, *columns) for row in found["items"]], empty="You have no credentials here.")


def rm(id: str, *, key: Key = None) -> None:
    """Remove a credential of yours, but not the last."""
    connect(key).delete("me", "credentials", id)
    screen.note(f"Removed {id}; it proves nothing any more.")


def _add_ssh(gateway: Gateway, file: Path | None, label: str) -> None:
    if file is None:
        raise AgentError("an ssh key needs its public half", code="request.key", hint="add ssh ~/.ssh/id_ed25519.pub")
    line = file.read_text()
    if "PRIVATE" in line:
        raise AgentError("this is the private half", code="request.key", hint=f"Give {file}.pub instead.")
    answer = gateway.post("me", "credentials", "ssh", body={"key": line, "label": label})
    screen.note(f"Added {answer['id']}, {answer['label']}. Sign with: --key {file.with_suffix('')}")


def _add_totp(gateway: Gateway, label: str) -> None:
    begun = gateway.post("me", "credentials", "totp")
    if sys.stderr.isatty():
        import segno

        segno.make(begun["url"], error="m").terminal(out=sys.stderr, compact=True)
    screen.note(f"Scan the code, or type this secret into the application: {begun['secret']}")
    otp = typed.secret("The one-time password that it shows")
    answer = gateway.post("me", "credentials", "totp", begun["id"], body={"otp": otp, "label": label})
    screen.note(f"Added {answer['id']}. Your password needs a one-time password from now on.")
