"""From a notice in Slack to the answer that is given there, over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from slack_sdk.signature import SignatureVerifier

from receivers import SlackDouble, eventually
from unit.web.world import World

SECRET = "a-signing-secret-of-the-test"


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackDouble]:
    """A double of Slack."""
    with SlackDouble() as double:
        yield double


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory, slack: SlackDouble) -> Iterator[World]:
    """A gateway that tells approvers there, and takes bob's answers."""
    directory = tmp_path_factory.mktemp("gateway")
    for name, value in (("token", slack.TOKEN), ("signing", SECRET)):
        (directory / name).write_text(value)
        (directory / name).chmod(0o600)
    section = f"""
notify:
  channels:
    chat:
      {{kind: slack, token: "file:token", channel: {slack.CHANNEL}, buttons: answer, signing: "file:signing",
       team: {slack.TEAM}, api: "{slack.url}/api"}}
  default: [chat]
"""
    with World(directory, more=section) as started:
        started.staff()
        started.post("/people/bob/links", "root", {"provider": "slack:chat", "subject": "U0BOB"})
        yield started


def pressed(slack: SlackDouble, message: dict[str, Any], verb: str, user: str = "U0BOB") -> bytes:
    """What Slack posts when somebody presses a button of a message."""
    button = next(each for each in message["blocks"][-1]["elements"] if each["action_id"] == verb)
    payload = {
        "type": "block_actions",
        "team": {"id": slack.TEAM},
        "user": {"id": user, "team_id": slack.TEAM},
        "channel": {"id": slack.CHANNEL},
        "actions": [{"action_id": verb, "value": button["value"]}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def post(world: World, body: bytes, secret: str = SECRET, moment: int = 0) -> httpx2.Response:
    """Post it as Slack does."""
    stamp = str(moment or int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body) or ""
    headers = {
        "x-slack-request-timestamp": stamp,
        "x-slack-signature": signature,
        "content-type": "application/x-www-form-urlencoded",
    }
    return httpx2.post(f"{world.url}/notify/slack/actions", content=body, headers=headers)


def asked(world: World, slack: SlackDouble) -> tuple[str, dict[str, Any]]:
    """A question, and its message once it is there."""
    before = len(slack.top())
    hold = world.hold(world.session(), "UPDATE orders SET status = 'secret-value'")
    eventually(lambda: len(slack.top()) > before)
    return hold.id, slack.top()[-1]


def state(world: World, id: str) -> str:
    """What became of a question."""
    return str(world.get(f"/approvals/{id}", "bob").json()["state"])


def test_asked_answered_and_updated_in_place(staffed: World, slack: SlackDouble) -> None:
    """The message shows the statement without values; bob presses; it is approved, and message and thread say so."""
    id, message = asked(staffed, slack)
    shown = json.dumps(message)
    assert "UPDATE orders SET status = ?" in shown
    assert "secret-value" not in shown
    assert post(staffed, pressed(slack, message, "approve")).status_code == 200
    # The session that waited uses it at once.
    lines = ["It is approved. bob said yes (slack).", "It is used."]
    eventually(lambda: slack.replies(message["ts"]) == lines)
    assert [each["action_id"] for each in message["blocks"][-1]["elements"]] == ["open"]
    assert state(staffed, id) == "used"
    eventually(lambda: staffed.whispered[-1:] == [("chat", "U0BOB", "It is approved.")])
    eventually(lambda: len([leaf for leaf in staffed.leaves("notice.sent") if leaf["ap"] == id]) == 3)


def test_a_replay_and_a_forgery(staffed: World, slack: SlackDouble) -> None:
    """Neither changes anything; both are events, in the words of every refusal."""
    id, message = asked(staffed, slack)
    forged = post(staffed, pressed(slack, message, "approve"), secret="guess")
    old = post(staffed, pressed(slack, message, "approve"), moment=int(time.time()) - 400)
    assert forged.status_code == old.status_code == 401
    assert forged.json() == old.json()
    assert state(staffed, id) == "waiting"
    moment = int(time.time())
    assert post(staffed, pressed(slack, message, "refuse"), moment=moment).status_code == 200
    assert post(staffed, pressed(slack, message, "refuse"), moment=moment).json() == forged.json()
    assert [leaf["code"] for leaf in staffed.leaves("auth.fail")][-3:] == ["notice.signature"] * 3


def test_a_stranger_presses(staffed: World, slack: SlackDouble) -> None:
    """Slack hears nothing of it, they do, and it waits on."""
    id, message = asked(staffed, slack)
    assert post(staffed, pressed(slack, message, "approve", user="U0EVE")).status_code == 200
    eventually(lambda: staffed.whispered[-1][1] == "U0EVE")
    assert state(staffed, id) == "waiting"


def test_a_body_that_is_none(staffed: World) -> None:
    """Refused like everything else."""
    answer = httpx2.post(f"{staffed.url}/notify/slack/actions", content=b"x")
    assert answer.status_code == 401, answer.text
    assert httpx2.post(f"{staffed.url}/notify/slack/actions", content=b"x" * 70_000).status_code == 413
    assert httpx2.get(f"{staffed.url}/notify/slack/actions").status_code in (404, 405)
