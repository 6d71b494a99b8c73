"""`tidegate connect`: a native client on a resource, with a token that only it and this command ever see."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from tidegate.errors import AgentError, Refused, ResourceError, TidegateError

from . import credentials as kept
from . import login, screen
from .child import Signals
from .handover import Handover, Route, lasting_directory, private_directory, route
from .remote import connect as gateway
from .token import seconds

_LOGGED_OUT = ("auth.missing", "token.expired", "token.revoked")

TOKEN = 900
"""Seconds of a token: a client needs it to connect, and then no more."""

LEAVE = 2.0
"""Seconds that a renewal under way may hold up the end of the command."""


def connect(
    resource: str,
    *client: Annotated[str, Parameter(allow_leading_hyphen=True)],
    agent: Annotated[str, Parameter(help="The agent of yours that acts; yourself if left out.")] = "",
    for_: Annotated[str, Parameter(name="--for", help="How long: 15m, 8h; policy may allow less.")] = "1h",
    reason: Annotated[str, Parameter(help="What it is for; approvers and auditors read it.")] = "",
    show: Annotated[bool, Parameter(help="Print lines to copy, for every client or one.", negative="")] = False,
) -> int:
    """Start a native client on a resource; what follows `--` is the client and its arguments.

    Without a client the usual one for the resource is started, and arguments alone go to it. The exit status is the
    client's.
    """
    way = found(resource, agent)
    if show:
        return _show(way, client[0] if client else "")
    command, life = _command(way, client), wanted(way, for_)
    with Signals() as signals, private_directory() as (directory, lock):
        handover = Handover(way, directory)
        permit = Permit(way, life, reason)
        with Renewal(lambda: permit.obtain(handover), again=bool(agent)) as renewal:
            status = signals.run(command, handover.environment(os.environ), keep=lock)
    if renewal.failure is not None:
        screen.note(f"The token could not be renewed: {renewal.failure}")
    return status


def found(resource: str, agent: str) -> Route:
    """The way to a resource; whoever is at a terminal and not logged in, or no more, logs in first."""
    try:
        return route(gateway(), resource, agent)
    except AgentError as error:
        if error.code not in _LOGGED_OUT or not _at_a_terminal():
            raise
        screen.note(error.message)
    try:
        before = kept.load()
        login.login(gateway=before.gateway, ca=before.ca)
    except AgentError:
        login.login()
    return route(gateway(), resource, agent)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


class Permit:
    """Leave to use a route: the grant, asked for where there is none, and tokens of minutes under it."""

    def __init__(self, way: Route, life: int, reason: str) -> None:
        self._way = way
        self._life = life
        self._reason = reason
        self._grant = way.grant

    def obtain(self, handover: Handover, most: int = TOKEN) -> int:
        """A fresh token in the files, for ``most`` seconds; gives the moment it expires (Unix seconds).

        Where policy gives grants by itself, one that is over is followed by another. Raises what the gateway says,
        Refused ``grant.denied`` when people said no.
        """
        self._grant = self._grant or self._asked()
        try:
            answer = self._minted(most)
        except Refused as error:
            if self._way.asks or error.code != "grant.missing":
                raise
            self._grant = self._asked()
            answer = self._minted(most)
        handover.put(str(answer["token"]))
        return int(answer["expires"])

    def _minted(self, most: int) -> Any:
        body = {"resource": self._way.resource, "agent": self._way.agent, "grant": self._grant}
        return gateway().post("tokens", body={**body, "ttl": min(most, self._life), "reason": self._reason})

    def _asked(self) -> str:
        remote = gateway()
        body = {"resource": self._way.resource, "agent": self._way.agent, "seconds": self._life}
        found = remote.post("requests", body={**body, "reason": self._reason})
        if found["state"] == "requested":
            screen.note(f"Approval {found['approval']} waits for somebody's yes.")
        while found["state"] == "requested":
            found = remote.get("requests", found["id"], wait=20)
        if found["state"] not in ("approved", "active"):
            raise Refused(f"request {found['id']} is {found['state']}", rule=found["rule"], code="grant.denied")
        return str(found["id"])


def wanted(way: Route, text: str) -> int:
    """How long, but no longer than policy lets. Raises AgentError."""
    return min(seconds(text), way.longest)


class Renewal:
    """A token while this is entered: the first one is there at once, with ``again`` the next well before each ends.

    A client needs one only to connect. ``failure`` is why the last attempt to renew it failed, if it did.
    """

    def __init__(self, obtain: Callable[[], int], *, again: bool) -> None:
        self.failure: Exception | None = None
        self._obtain = obtain
        self._again = again
        self._over = threading.Event()
        self._expires = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Renewal:
        self._expires = self._obtain()
        if self._again:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._again:
            self._thread.join(LEAVE)

    def _run(self) -> None:
        while not self._over.wait(self._pause()):
            try:
                self._expires = self._obtain()
                self.failure = None
            except (TidegateError, OSError) as error:
                self.failure = error

    def _pause(self) -> float:
        left = self._expires - time.time()
        return max(left * 0.8 if self.failure is None else left * 0.2, 5.0)


def _command(way: Route, client: Sequence[str]) -> list[str]:
    """What to start. Raises ResourceError when no usual client is installed."""
    if client and not client[0].startswith("-"):
        return list(client)
    for known in way.recipe.clients:
        if known.argv and shutil.which(known.argv[0]):
            return [*known.argv, *client]
    names = ", ".join(known.argv[0] for known in way.recipe.clients if known.argv)
    raise ResourceError(
        f"no usual client for {way.resource} is installed ({names})",
        hint=f"Name yours after `--`, or see: tidegate connect {way.resource} --show",
        code="client.missing",
    )


def _show(way: Route, client: str) -> int:
    directory = lasting_directory(kept.home(), way.resource, way.agent)
    lines = Handover(way, directory).lines(client)
    if not lines:
        raise AgentError(f"there is no recipe for {client!r}", code="client.unknown", hint="See them all with --show.")
    agent = f" --agent {way.agent}" if way.agent else ""
    screen.note("First, in the same shell, a token and what points at it:")
    print(f'eval "$(tidegate env {way.resource}{agent})"')
    for _, title, line in lines:
        print(f"\n# {title}\n{line}")
    return 0
