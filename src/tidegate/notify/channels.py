"""The channels that settings name, made ready to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from tidegate.clock import Clock
from tidegate.settings_notify import EmailChannel, Notify, SlackChannel, WebhookChannel

from .channel import Channel, Secret
from .clicks import Clicks
from .email import Email
from .slack import Slack
from .webhook import Webhook

Reads: TypeAlias = Callable[[str], Secret]
"""What reads a reference at each use."""


def channels(settings: Notify, reads: Reads, clock: Clock, organisation: str) -> Mapping[str, Channel]:
    """Every channel by name; ``organisation`` is the domain that names mails."""
    return {name: _channel(name, given, reads, clock, organisation) for name, given in settings.channels.items()}


def clicks(settings: Notify, reads: Reads, clock: Clock) -> Clicks:
    """What takes answers for the channels that take any."""
    found = ((name, given) for name, given in settings.channels.items() if isinstance(given, SlackChannel))
    return Clicks({name: (given, reads(given.signing)) for name, given in found if given.direct}, clock)


def _channel(
    name: str, given: SlackChannel | WebhookChannel | EmailChannel, reads: Reads, clock: Clock, organisation: str
) -> Channel:
    match given:
        case SlackChannel():
            return Slack(name, given, reads(given.token))
        case WebhookChannel():
            return Webhook(name, given, reads(given.url), reads(given.secret), clock)
        case EmailChannel():
            return Email(given, reads(given.secret), organisation)
