"""Slack, against a double of its API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from receivers import Answer, SlackDouble
from tidegate.model.notice import Notice
from tidegate.notify.channel import Thread, Undelivered
from tidegate.notify.slack import Slack
from tidegate.settings_notify import SlackChannel

from .sample import always, notice, run


@pytest.fixture
def slack() -> Iterator[SlackDouble]:
    """A double of Slack."""
    with SlackDouble() as double:
        yield double


def channel(slack: SlackDouble, token: str = SlackDouble.TOKEN, **changes: Any) -> Slack:
    """A channel to it."""
    given = {"token": "env:T", "channel": slack.CHANNEL, "direct": False, "signing": "", "team": "",
             "api": f"{slack.url}/api", "ca": "", "reasons": False} | changes  # fmt: skip
    return Slack("chat", SlackChannel(**given), always(token))


def send(chat: Slack, told: Notice, thread: Thread | None = None) -> Thread:
    """Send one."""
    return run(chat.send(told, thread or {}))


def why(slack: SlackDouble, **words: Any) -> Undelivered:
    """Why it was not delivered."""
    with pytest.raises(Undelivered) as error:
        send(channel(slack, **words), notice())
    return error.value


def test_one_message_kept_up_to_date_with_its_history_in_the_thread(slack: SlackDouble) -> None:
    """Posted once, changed in place, each change a reply."""
    chat = channel(slack)
    thread = send(chat, notice())
    for line in ("It is approved. bob said yes (passkey).", "It is used."):
        assert send(chat, notice("x", line=line, open=False), thread) == thread
    (message,) = slack.top()
    assert message["ts"] == thread["ts"]
    assert message["text"].endswith("It is used.")
    assert slack.replies(thread["ts"]) == ["It is approved. bob said yes (passkey).", "It is used."]
    assert all(request.path.startswith("/api/chat.") for request in slack.requests)


def test_a_message_that_somebody_deleted_is_posted_anew(slack: SlackDouble) -> None:
    """What follows has the new one's name."""
    chat = channel(slack)
    thread = send(chat, notice())
    slack.messages.clear()
    again = send(chat, notice("x"), thread)
    assert again != thread
    assert len(slack.top()) == 1


@pytest.mark.parametrize(
    "error", ["channel_not_found", "not_in_channel", "token_revoked", "internal_error", "ratelimited"]
)
def test_ok_false_is_a_failure_that_may_pass(slack: SlackDouble, error: str) -> None:
    """Though the status is 200; somebody may see to it."""
    slack.refuse(error)
    found = why(slack)
    assert (found.why, found.final) == (error, False)


def test_a_message_that_slack_never_takes(slack: SlackDouble) -> None:
    """It is not tried again."""
    slack.refuse("invalid_blocks")
    assert why(slack).final


def test_a_limit(slack: SlackDouble) -> None:
    """Slack says how long to wait."""
    slack.limit(42)
    found = why(slack)
    assert (found.why, found.final, found.after) == ("status 429", False, 42)


def test_the_token(slack: SlackDouble) -> None:
    """It is in a header and nowhere else; a wrong one is a failure that does not show it."""
    assert why(slack, token="xoxb-wrong").why == "invalid_auth"
    request = slack.requests[0]
    assert "xoxb" not in request.path + request.body.decode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no json", "an answer that is no JSON object"),
        (b"[]", "an answer that is no JSON object"),
        (b'{"ok": 1}', "an error without a name"),
        (b'{"ok": false, "error": "<script>"}', "an error without a name"),
        (b'{"ok": true}', "an answer without the message's name"),
        (b'{"ok": true, "channel": "C1", "ts": "../x"}', "an answer without the message's name"),
    ],
)
def test_answers_that_slack_does_not_give(slack: SlackDouble, body: bytes, said: str) -> None:
    """What stands in its place is hostile: none of it is repeated or kept."""
    slack.answers.append(Answer(200, body))
    assert why(slack).why == said


def test_a_reason_goes_out_if_settings_say_so(slack: SlackDouble) -> None:
    """And else not."""
    send(channel(slack), notice())
    send(channel(slack, reasons=True), notice())
    first, second = (request.body.decode() for request in slack.requests)
    assert "reason-secret" not in first
    assert "reason-secret" in second


def test_a_whisper(slack: SlackDouble) -> None:
    """One user hears it, and it is no markup."""
    run(channel(slack).whisper("U1", "<!here> no"))
    assert [(each["user"], each["text"]) for each in slack.whispers] == [("U1", "&lt;!here&gt; no")]
