"""Logins that are under way at a provider: what this gateway must remember until the browser comes back.

Each is bound to one browser by a cookie, kept here by its hash only, is taken once, and ends with ``FLOW_LIFE``.
Anybody can begin one, so the table is bounded, and who floods it displaces their own. An answer that a provider posts
comes from another site and thus without the cookie: it is put aside for a moment, until the browser has been sent on.
Event loop only.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from tidegate.clock import Clock
from tidegate.errors import AgentError
from tidegate.identity.providers import FLOW_LIFE, Flow

from .visits import kept

T = TypeVar("T")

MOST = 1000
"""Logins under way at a time."""

ANSWERS, ASIDE = 100, 60
"""Posted answers put aside at a time, and for how many seconds."""


@dataclass(frozen=True, slots=True)
class Way:
    """A login under way: where it leads, and who begins it from where.

    ``challenge`` is what a fresh login is to prove, and ``visit`` (the key of) the login that it is asked of; both are
    empty for a first login.
    """

    flow: Flow
    next: str
    source: str
    challenge: str = ""
    visit: str = ""


class Flows:
    """All logins under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ways: OrderedDict[str, tuple[int, Way]] = OrderedDict()
        self._aside: OrderedDict[str, tuple[int, Mapping[str, str]]] = OrderedDict()

    def put(self, way: Way) -> str:
        """The cookie that the browser must come back with."""
        _sweep(self._ways, self._clock.monotonic())
        if len(self._ways) >= MOST:
            [(source, _)] = Counter(each.source for _, each in self._ways.values()).most_common(1)
            del self._ways[next(key for key, (_, each) in self._ways.items() if each.source == source)]
        cookie = secrets.token_urlsafe(32)
        self._ways[kept(cookie)] = (self._clock.monotonic() + FLOW_LIFE * 1_000_000, way)
        return cookie

    def take(self, cookie: str, provider: str) -> Way:
        """The login that this browser began at ``provider``, once. Raises AgentError ``login.flow``."""
        _sweep(self._ways, self._clock.monotonic())
        found = self._ways.pop(kept(cookie), None) if cookie else None
        if found is None or found[1].flow.provider != provider:
            raise _unknown()
        return found[1]

    def set_aside(self, answer: Mapping[str, str]) -> str:
        """Keep a posted answer for a moment; gives what to fetch it by."""
        _sweep(self._aside, self._clock.monotonic())
        if len(self._aside) >= ANSWERS:
            self._aside.popitem(last=False)
        ticket = secrets.token_urlsafe(32)
        self._aside[kept(ticket)] = (self._clock.monotonic() + ASIDE * 1_000_000, answer)
        return ticket

    def fetch(self, ticket: str) -> Mapping[str, str]:
        """A posted answer, once. Raises AgentError ``login.flow``."""
        _sweep(self._aside, self._clock.monotonic())
        found = self._aside.pop(kept(ticket), None)
        if found is None:
            raise _unknown()
        return found[1]


def _sweep(table: OrderedDict[str, tuple[int, T]], now: int) -> None:
    while table and next(iter(table.values()))[0] <= now:
        table.popitem(last=False)


def _unknown() -> AgentError:
    return AgentError(
        "this browser has no login under way there",
        hint="Begin again from the login page, and let cookies be kept.",
        code="login.flow",
    )
