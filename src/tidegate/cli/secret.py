"""`tidegate secret`: what the gateway keeps to log in upstream. A value is typed or piped, never an argument."""

from __future__ import annotations

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tidegate.errors import AgentError, ConfigError

from . import screen
from .remote import connect

LONGEST = 64 * 1024
"""Bytes that are read of a value; the gateway takes fewer."""


def set_(
    name: str,
    *,
    from_file: Annotated[Path | None, Parameter(help="Read the value from this file.")] = None,
    output: screen.Output = "table",
) -> None:
    """Keep a secret, typed without echo, piped in, or from a file. Needs the ability to operate the gateway."""
    gateway = connect()
    answer = gateway.put("secrets", name, body={"value": _value(name, from_file)})
    if output == "json":
        screen.as_json(answer)
        return
    users = ", ".join(answer["resources"])
    screen.note(f"{name} is set for the next connection" + (f" to {users}." if users else "; no resource uses it yet."))


def listing(*, output: screen.Output = "table") -> None:
    """List secrets: names, when and by whom they were changed, which resources use them. Never values."""
    rows = connect().get("secrets")["items"]
    if output == "json":
        screen.as_json(rows)
        return
    columns, now = ("name", "changed", "by", "resources"), time.time_ns() // 1000
    shown = [[row["name"], screen.when(row["changed"], now), *screen.dig(row, "by", "resources")] for row in rows]
    screen.table(columns, shown, empty="No secrets are kept here.")


def rm(name: str) -> None:
    """Forget a secret: connections that need it are refused from now on. Needs operate."""
    users = ", ".join(connect().delete("secrets", name)["resources"])
    screen.note(f"{name} is gone." + (f" No connection to {users} opens until it is set again." if users else ""))


def _value(name: str, path: Path | None) -> str:
    """The value without the line break at its end. Raises ConfigError, AgentError."""
    if path is not None:
        with path.open("rb") as file:
            return _text(file.read(LONGEST + 1), str(path))
    if not sys.stdin.isatty():
        return _text(sys.stdin.buffer.read(LONGEST + 1), "standard input")
    first = getpass.getpass(f"Value of {name}: ")
    if first != getpass.getpass("Once more: "):
        raise AgentError("the two values differ", code="request.secret", hint="Nothing was changed. Try again.")
    return first


def _text(data: bytes, origin: str) -> str:
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError("the secret is not text in UTF-8", path=origin, code="config.secret") from None
    if not text or len(data) > LONGEST:
        raise ConfigError("the secret is empty or over 64 KiB", path=origin, code="config.secret")
    return text
