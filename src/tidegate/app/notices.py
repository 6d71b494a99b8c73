"""Who tells people outside, and who takes the answers that they give there, in the process that serves the API."""

from __future__ import annotations

from collections.abc import Container, Mapping

from tidegate.enforcement.buttons import Buttons
from tidegate.enforcement.emergencies import Alarm
from tidegate.enforcement.federation import Federation
from tidegate.enforcement.register import Questions
from tidegate.notify.channel import Channel
from tidegate.notify.channels import channels, clicks
from tidegate.notify.notifier import Notifier
from tidegate.notify.outbox import Outbox
from tidegate.notify.slack import Slack

from . import permits
from .parts import Parts
from .people import secret_of
from .road import Road


def reached(parts: Parts, road: Road) -> Mapping[str, Channel]:
    """The channels by name."""
    settings = parts.settings
    return channels(settings.notify, lambda text: secret_of(road.secrets, text), parts.clock, settings.organisation)


def notifier(parts: Parts, road: Road, sending: Outbox) -> Notifier:
    """Who hears of every change of a question, and of guessing, from now on."""
    settings = parts.settings
    found = Notifier(sending, settings.notify, parts.clock, settings.public, road.redacted)
    road.register.listen(found.told)
    road.failures.listen(alarm(found))
    return found


def buttons(
    parts: Parts,
    road: Road,
    approvals: Questions,
    federation: Federation,
    revocations: Container[str],
    reach: Mapping[str, Channel],
) -> Buttons:
    """What takes answers from chats."""
    pressed = clicks(parts.settings.notify, lambda text: secret_of(road.secrets, text), parts.clock)

    async def whisper(name: str, user: str, words: str) -> None:
        chat = reach[name]
        if isinstance(chat, Slack):
            await chat.whisper(user, words)

    return Buttons(
        pressed, approvals, parts.directory, whisper,
        link_of=federation.accounts.link_of, leaf=parts.log.leaf, revocations=revocations, failures=road.failures,
        address=parts.settings.public,
    )  # fmt: skip


def alarm(telling: Notifier) -> Alarm:
    """Tells operators in their log, and people by every channel."""

    def told(code: str, title: str, fields: Mapping[str, str]) -> None:
        permits.journal(code, title, fields)
        telling.alarm(code, title, fields)

    return told
