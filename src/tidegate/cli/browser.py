"""Logging in through a browser (RFC 8628): the terminal shows an address and a code, and waits until somebody says yes.

The browser may be on another machine: only the address and the short code have to get there. The long code, which takes
the login, stays in this process.
"""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tidegate.errors import AgentError, ResourceError
from tidegate.web.shown import safe

from . import screen
from .remote import Gateway

SLOWER = 5
"""Seconds that are added when the gateway says that one asks too often (section 3.5)."""


def log_in(remote: Gateway, *, open_browser: bool) -> Mapping[str, Any]:
    """What the gateway answers once the login is confirmed. Raises AgentError ``login.denied``, ``login.expired``."""
    from rich.console import Console

    asked = remote.post("login", "device")
    page = _page(asked["verification_uri"])
    for line in (f"Open {page} and confirm this code:", "", f"    {asked['user_code']}", ""):
        screen.note(line)
    if open_browser and webbrowser.open(_page(asked["verification_uri_complete"])):
        screen.note("A browser should open by itself; --no-browser keeps it closed.")
    with Console(stderr=True).status("Waiting for the browser ..."):
        return _awaited(remote, asked)


def _awaited(remote: Gateway, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    interval, end = int(asked["interval"]), time.monotonic() + int(asked["expires_in"])
    while True:
        time.sleep(interval)
        try:
            return dict(remote.post("login", "device", "token", body={"device_code": asked["device_code"]}))
        except AgentError as error:
            if error.code not in ("login.pending", "login.slow_down") or time.monotonic() > end:
                raise
            interval += SLOWER if error.code == "login.slow_down" else 0


def _page(address: str) -> str:
    """An address that a browser may be sent to. Raises ResourceError for one that would start something else."""
    if urlsplit(address).scheme not in ("http", "https") or safe(address) != address or " " in address:
        raise ResourceError("The gateway named a page that is none.", code="gateway.answer")
    return address
