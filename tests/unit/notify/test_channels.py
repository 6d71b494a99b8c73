"""Channels that settings name."""

from __future__ import annotations

from tidegate.clock import SystemClock
from tidegate.model.resource import Address
from tidegate.notify.channels import channels, clicks
from tidegate.notify.email import Email
from tidegate.notify.slack import Slack
from tidegate.notify.webhook import Webhook
from tidegate.settings_notify import EmailChannel, Notify, SlackChannel, WebhookChannel

from .sample import always

CHAT = SlackChannel("env:T", "C1", False, "", "", "https://slack.com/api", "", False)
SETTINGS = Notify(
    {
        "chat": CHAT,
        "answers": SlackChannel("env:T", "C1", True, "env:S", "T1", "https://slack.com/api", "", False),
        "hook": WebhookChannel("https://hooks.example.org", "env:S", "", False, False),
        "mail": EmailChannel(Address("mail", 25), "starttls", "", "", "", "a@example.org", ("b@example.org",), False),
    }
)


def test_each_kind_is_made() -> None:
    """By name."""
    found = channels(SETTINGS, always, SystemClock(), "example.org")
    assert {name: type(each) for name, each in found.items()} == {
        "chat": Slack, "answers": Slack, "hook": Webhook, "mail": Email,
    }  # fmt: skip


def test_only_channels_that_say_so_take_answers() -> None:
    """Others have no secret to sign with."""
    assert list(clicks(SETTINGS, always, SystemClock())._channels) == ["answers"]
