"""Buttons pressed in Slack, and what only looks like it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier

from tidegate.clock import SystemClock
from tidegate.errors import AgentError
from tidegate.notify import clicks as module
from tidegate.notify.clicks import WINDOW, Click, Clicks
from tidegate.settings_notify import SlackChannel

from .sample import always, run

SECRET, OTHER = "8f742231b10e8888abcd99yyyzzz85a5", "another-signing-secret"
DIGEST = "d" * 64


class Now(SystemClock):
    """A clock that stands still."""

    moment = 1_790_000_000

    def now(self) -> int:
        return Now.moment * 1_000_000


@pytest.fixture(autouse=True)
def _time() -> Iterator[None]:
    Now.moment = 1_790_000_000
    yield


def channel(**changes: Any) -> SlackChannel:
    """A channel that takes answers."""
    given = {"token": "env:T", "channel": "C1", "direct": True, "signing": "env:S", "team": "T1",
             "api": "https://slack.com/api", "ca": "", "reasons": False} | changes  # fmt: skip
    return SlackChannel(**given)


@pytest.fixture
def clicks() -> Clicks:
    """Two channels of two apps."""
    return Clicks({"chat": (channel(), always(SECRET)), "other": (channel(channel="C2"), always(OTHER))}, Now())


def payload(**changes: Any) -> dict[str, Any]:
    """What Slack sends (docs.slack.dev, "block_actions payload"), as far as it matters."""
    action = {"type": "button", "action_id": "approve", "block_id": "answer", "value": f"chat ap_1 {DIGEST}"}
    return {
        "type": "block_actions",
        "team": {"id": "T1", "domain": "example"},
        "user": {"id": "U1", "username": "bob", "team_id": "T1"},
        "api_app_id": "A1",
        "channel": {"id": "C1", "name": "approvals"},
        "actions": [action],
    } | changes


def body(**changes: Any) -> bytes:
    """It as a form."""
    return urlencode({"payload": json.dumps(payload(**changes))}).encode()


def read(clicks: Clicks, sent: bytes, *, time: str = "", signature: str = "", secret: str = SECRET) -> Click | None:
    """Send it, signed as Slack does unless said otherwise."""
    time = time or str(Now.moment)
    signed = SignatureVerifier(secret).generate_signature(timestamp=time, body=sent) or ""
    return run(clicks.read(sent, time, signature or signed))


def refused(clicks: Clicks, sent: bytes, **words: str) -> None:
    """It is refused, in the same words as everything else."""
    with pytest.raises(AgentError) as error:
        read(clicks, sent, **words)
    assert error.value.code == "notice.signature"
    assert error.value.message == "this is no request that Slack has signed for this gateway, a moment ago and once"


def action(**changes: Any) -> dict[str, Any]:
    """Another button."""
    return {"actions": [payload()["actions"][0] | changes]}


def test_a_button_that_was_pressed(clicks: Clicks) -> None:
    """Who, which, about what exactly."""
    assert read(clicks, body()) == Click("chat", "U1", "approve", "ap_1", DIGEST)
    assert read(clicks, body(**action(action_id="refuse"))) == Click("chat", "U1", "refuse", "ap_1", DIGEST)


def test_slacks_own_example() -> None:
    """Secret, time, body and signature of docs.slack.dev, "Verifying requests from Slack": signed by them."""
    Now.moment = 1531420618
    clicks = Clicks({"chat": (channel(), always(SECRET))}, Now())
    sent = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert run(clicks._holds("chat", sent, "1531420618", signature))
    assert not run(clicks._holds("chat", sent + b"x", "1531420618", signature))


@pytest.mark.parametrize("away", [-WINDOW - 1, WINDOW + 1])
def test_what_was_signed_at_another_time(clicks: Clicks, away: int) -> None:
    """Too old, or of the future."""
    refused(clicks, body(), time=str(Now.moment + away))


@pytest.mark.parametrize("time", ["", "x", "-1", "1e9", "1790000000.0", "١٧٩٠٠٠٠٠٠٠", "9" * 40])
def test_a_time_that_is_none(clicks: Clicks, time: str) -> None:
    """It is refused, not an error of ours."""
    with pytest.raises(AgentError):
        run(clicks.read(body(), time, "v0=" + "0" * 64))


@pytest.mark.parametrize(
    "signature", ["v0=" + "0" * 64, "v1=" + "0" * 64, "v0=", "x", "v0=" + "é" * 64, "v0=" + "A" * 64]
)
def test_a_wrong_signature(clicks: Clicks, signature: str) -> None:
    """Whatever it looks like."""
    refused(clicks, body(), signature=signature)


def test_strangers_do_not_have_the_secret_read_each_time() -> None:
    """It may be on another server; it is read once in a while, so that a rotation counts soon."""
    reads: list[int] = []

    async def read_it() -> str:
        reads.append(1)
        return SECRET

    found = Clicks({"chat": (channel(), read_it)}, SystemClock())

    async def flood() -> None:
        for _ in range(20):
            with pytest.raises(AgentError):
                await found.read(b"x", str(found._clock.now() // 1_000_000), "v0=" + "0" * 64)

    run(flood())
    assert len(reads) == 1


def test_a_body_that_was_changed(clicks: Clicks) -> None:
    """One letter is enough."""
    signed = SignatureVerifier(SECRET).generate_signature(timestamp=str(Now.moment), body=body()) or ""
    refused(clicks, body().replace(b"ap_1", b"ap_2"), signature=signed)


def test_nothing_is_taken_twice(clicks: Clicks) -> None:
    """Not within the window; after it, its time is over anyway."""
    read(clicks, body())
    refused(clicks, body())
    Now.moment += 1
    assert read(clicks, body()) is not None


def test_memory_of_what_was_seen_has_a_limit(clicks: Clicks, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more in one window than are remembered, none is taken; later they are again."""
    monkeypatch.setattr(module, "SEEN", 2)
    for number in range(2):
        read(clicks, body(**action(value=f"chat ap_{number} {DIGEST}")))
    refused(clicks, body(**action(value=f"chat ap_9 {DIGEST}")))
    Now.moment += 3 * WINDOW
    assert read(clicks, body(**action(value=f"chat ap_9 {DIGEST}"))) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"team": {"id": "T2"}},
        {"team": None},
        {"user": {"id": "U1", "team_id": "T2"}},
        {"user": {"id": "u1; drop", "team_id": "T1"}},
        {"user": None},
        {"channel": {"id": "C2"}},
        {"channel": "C1"},
    ],
)
def test_somebody_of_elsewhere(clicks: Clicks, changes: dict[str, Any]) -> None:
    """Another workspace, one that shares the conversation, another conversation."""
    refused(clicks, body(**changes))


def test_an_app_speaks_for_its_own_channels_only(clicks: Clicks) -> None:
    """Who has one app's secret cannot answer for another's channel."""
    refused(clicks, body(), secret=OTHER)
    refused(clicks, body(**action(value=f"nowhere ap_1 {DIGEST}")))


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "view_submission"},
        {"actions": []},
        {"actions": [{}, {}]},
        {"actions": "x"},
        action(action_id="open"),
        action(value="chat ap_1"),
        action(value=None),
    ],
)
def test_what_needs_no_answer(clicks: Clicks, changes: dict[str, Any]) -> None:
    """Slack tells of the page's button too."""
    assert read(clicks, body(**changes)) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"payload",
        b"payload=",
        b"payload=%5B%5D",
        b"payload=%7B%7D&payload=%7B%7D",
        b"payload=%ff",
        b"payload=" + b"%5B" * 9000,
    ],
)
def test_what_is_no_payload(clicks: Clicks, sent: bytes) -> None:
    """Signed or not."""
    refused(clicks, sent)


def test_what_is_no_text(clicks: Clicks) -> None:
    """Nothing of it is signed."""
    with pytest.raises(AgentError):
        run(clicks.read(b"\xff", str(Now.moment), "v0=" + "0" * 64))


def test_no_channel_takes_answers() -> None:
    """Then nothing is signed for this gateway."""
    refused(Clicks({}, Now()), body())
