"""Who is told, by which channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from tidegate.clock import SystemClock
from tidegate.model.approval import Held
from tidegate.model.notice import Notice
from tidegate.model.verdict import Approvers
from tidegate.notify.notifier import Notifier
from tidegate.notify.outbox import Outbox
from tidegate.settings_notify import Notify, WebhookChannel

from .sample import QUESTION, held

HOOK = WebhookChannel("https://hooks.example.org/a", "env:A", "", False, False)
SETTINGS = Notify(
    {name: HOOK for name in ("ops", "data", "chiefs", "idle")}, {"dba": ("data",), "managers": ("chiefs",)}, ("ops",)
)


class Kept(Outbox):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[list[str], Notice, bool]] = []
        self.fails = False

    def put(self, channels: Iterable[str], make: Callable[[], Notice], *, urgent: bool = False) -> None:
        if self.fails:
            raise RuntimeError
        self.given.append((list(channels), make(), urgent))


@pytest.fixture
def kept() -> Kept:
    """An outbox that sends nothing."""
    return Kept()


@pytest.fixture
def notifier(kept: Kept) -> Notifier:
    """A notifier over it."""
    return Notifier(kept, SETTINGS, SystemClock(), "https://gw.example.org", lambda _, text: "")


def asked(*groups: str, **more: object) -> Held:
    """A question for these groups."""
    approvers = tuple(Approvers((group,), 1, group, escalate=("managers",), after=60) for group in groups)
    return held(question=replace(QUESTION, approvers=approvers), **more)


def test_those_who_may_answer_are_told(kept: Kept, notifier: Notifier) -> None:
    """By their own channels, or the default ones; once each, whoever shares one."""
    for question in (asked("dba"), asked("security"), asked("dba", "security", "dba")):
        notifier.told(question, 1)
    assert [names for names, _, _ in kept.given] == [["data"], ["ops"], ["data", "ops"]]
    assert kept.given[0][1].link == "https://gw.example.org/approvals/ap_0123"


def test_those_whom_it_is_escalated_to_are_told_then(kept: Kept, notifier: Notifier) -> None:
    """And not before."""
    notifier.told(asked("dba", escalated=600), 1)
    assert kept.given[0][0] == ["data", "chiefs"]


def test_everybody_hears_an_alarm(kept: Kept, notifier: Notifier) -> None:
    """By every channel, before everything else."""
    notifier.alarm("kill.ordered", "root ended all", {"what": "all"})
    names, notice, urgent = kept.given[0]
    assert (set(names), notice.event, urgent) == (set(SETTINGS.channels), "kill.ordered", True)
    assert notice.about.startswith("al_")


def test_guessing_is_told_once_in_a_while(kept: Kept, notifier: Notifier) -> None:
    """Who guesses cannot flood people with it; other alarms are told each time."""
    for _ in range(3):
        notifier.alarm("auth.guessing", "Somebody guesses", {})
        notifier.alarm("kill.ordered", "root ended all", {})
    assert [notice.event for _, notice, _ in kept.given].count("auth.guessing") == 1
    assert [notice.event for _, notice, _ in kept.given].count("kill.ordered") == 3


def test_it_never_raises(kept: Kept, notifier: Notifier) -> None:
    """Who asks and who answers do not suffer from who tells."""
    kept.fails = True
    notifier.told(asked("dba"), 1)
    notifier.alarm("kill.ordered", "root ended all", {})
