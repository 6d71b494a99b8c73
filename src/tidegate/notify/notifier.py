"""Who is told, by which channels: approvals go to those who may answer them, alarms to everybody.

Both are called on the event loop by what must not wait, so they only hand over; whatever takes time happens elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from tidegate.clock import Clock
from tidegate.journal import surprise
from tidegate.model.approval import Held
from tidegate.settings_notify import Notify

from .outbox import Outbox
from .wording import Redacted, of_alarm, of_question

QUIET = 300
"""Seconds in which the same alarm of somebody's guessing is told once."""


class Notifier:
    """Event loop only. ``address`` is where the pages are, without a slash at its end."""

    def __init__(self, outbox: Outbox, settings: Notify, clock: Clock, address: str, redacted: Redacted) -> None:
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._address = address
        self._redacted = redacted
        self._guessing = 0

    def told(self, held: Held, leaf: int) -> None:
        """A question was asked or has changed (``Register.listen``). Neither blocks nor raises."""
        try:
            now, link = self._clock.now(), f"{self._address}/approvals/{held.id}"
            self._outbox.put(self.routed(held), partial(of_question, held, link, now, self._redacted))
        except Exception as error:  # who asks and who answers must not suffer from who tells
            surprise("notice.fault", error, leaf=leaf)

    def alarm(self, code: str, title: str, fields: Mapping[str, str]) -> None:
        """Everybody must know, by every channel. ``fields["id"]`` is what it is about. Neither blocks nor raises."""
        try:
            now = self._clock.now()
            if code.startswith("auth.") and self._again(now):
                return
            id = fields.get("id") or self._clock.name("al")
            make = partial(of_alarm, id, code, title, dict(fields), self._address, now)
            self._outbox.put(self._settings.channels, make, urgent=True)
        except Exception as error:
            surprise("notice.fault", error, code=code)

    def routed(self, held: Held) -> list[str]:
        """The channels of those who may answer; the default ones for groups without any."""
        groups = [name for each in held.question.approvers for name in held.groups(each)]
        found = [name for group in groups for name in self._settings.routes.get(group, self._settings.default)]
        return list(dict.fromkeys(found))

    def _again(self, now: int) -> bool:
        if now < self._guessing + QUIET * 1_000_000:
            return True
        self._guessing = now
        return False
