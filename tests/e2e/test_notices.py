"""People are told outside, through a real gateway: Slack (a double of its API), a webhook, and a real mail server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import jsonschema
import psycopg
import pytest
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook

from gateway import PASSWORD, POLICY, Gateway
from receivers import Answer, Mailbox, Receiver, SlackDouble, eventually
from servers import Postgres

from .conftest import shop

HOOK, SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a-signing-secret-of-the-test"
VALUE = "mail-of-somebody@example.org"
BULK = f"update customers set email = '{VALUE}'"
EMERGENCIES = "  - {id: on-call, who: {groups: [admins]}, may: [break-glass], then: allow, for: 30m}\n"
SCHEMA = json.loads((Path(__file__).parents[2] / "src/tidegate/notify/webhook.schema.json").read_text())


class Told:
    """A gateway and everybody it tells."""

    def __init__(self, postgres: Postgres, directory: Path, slack: SlackDouble, hook: Receiver, mail: int) -> None:
        self.slack, self.hook = slack, hook
        self.mails: list[bytes] = []
        secrets = {"SLACK_TOKEN": slack.TOKEN, "SLACK_SIGNING": SIGNING, "HOOK_SECRET": HOOK}
        sections = f"""notify:
  channels:
    chat:
      {{kind: slack, token: env:SLACK_TOKEN, channel: {slack.CHANNEL}, buttons: answer, signing: env:SLACK_SIGNING,
       team: {slack.TEAM}, api: "{slack.url}/api"}}
    hook: {{kind: webhook, url: "{hook.url}/hook", secret: env:HOOK_SECRET}}
    mail:
      {{kind: email, server: "127.0.0.1:{mail}", tls: disable, sender: gw@example.org, to: [dba@example.org]}}
  routes: {{dba: [chat, hook, mail]}}
"""
        upstream = shop(postgres, f"told_{directory.name.lower()}"[:60])
        self.gateway = Gateway(
            directory / "gw", upstream, policy=POLICY + EMERGENCIES, environment=secrets, sections=sections
        )
        self.gateway.start().people()
        body = {"provider": "slack:chat", "subject": "U0BOB"}
        # Not by alice, whose agent asks: she cannot say who an approver is.
        self.gateway.person("olga", ["admins"])
        self.gateway.call("POST", "people/bob/links", "olga", **body)

    def ask(self, pool: ThreadPoolExecutor) -> tuple[psycopg.Connection[Any], Future[str | None]]:
        """Send a statement that is held, from a thread."""
        agent = psycopg.connect(self.gateway.dsn(self.gateway.token(reason="reason-secret")), autocommit=True)
        return agent, pool.submit(lambda: agent.execute(BULK).statusmessage)

    def press(self, verb: str, secret: str = SIGNING) -> httpx2.Response:
        """Press a button of the newest message."""
        button = next(each for each in self.slack.top()[-1]["blocks"][-1]["elements"] if each["action_id"] == verb)
        payload = {
            "type": "block_actions",
            "team": {"id": self.slack.TEAM},
            "user": {"id": "U0BOB", "team_id": self.slack.TEAM},
            "channel": {"id": self.slack.CHANNEL},
            "actions": [{"action_id": verb, "value": button["value"]}],
        }
        body, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()))
        signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body) or ""
        headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": signature}
        return httpx2.post(f"{self.gateway.url}/notify/slack/actions", content=body, headers=headers)

    def events(self) -> list[str]:
        """What the webhook was told, each verified as a receiver does."""
        found = [Webhook(HOOK).verify(each.body, dict(each.headers)) for each in self.hook.requests]
        for each in found:
            jsonschema.validate(each, SCHEMA)
        return [each["type"] for each in found]

    def everything(self) -> str:
        """All that has left the house."""
        posted = [request.body.decode() for request in (*self.slack.requests, *self.hook.requests)]
        return "".join(posted) + b"".join(self.mails).decode()


@pytest.fixture
def told(postgres: Postgres, tmp_path: Path) -> Iterator[Told]:
    """A gateway that tells a chat, a webhook and a mailbox; its log must hold."""
    with SlackDouble() as slack, Receiver() as hook, Mailbox() as mail:
        found = Told(postgres, tmp_path, slack, hook, mail.port)
        found.mails = mail.mails
        yield found
        assert found.gateway.stop() == 0, found.gateway.output
        assert found.gateway.verify() == 0


def test_held_told_and_approved_in_slack(told: Told) -> None:
    """A statement waits, everybody hears of it without its values, bob presses a button, and it runs."""
    with ThreadPoolExecutor() as pool:
        agent, answer = told.ask(pool)
        eventually(lambda: bool(told.slack.top() and told.hook.requests and told.mails))
        assert told.press("approve", secret="guess").status_code == 401
        assert not answer.done()
        assert told.press("approve").status_code == 200
        assert answer.result(20) == "UPDATE 500"
        agent.close()
    eventually(lambda: told.events() == ["approval.asked", "approval.approved", "approval.used"])
    eventually(lambda: len(told.mails) == 2 and len(told.slack.whispers) == 1)
    (message,) = told.slack.top()
    eventually(lambda: told.slack.replies(message["ts"])[-1:] == ["It is used."])
    said = told.everything()
    assert "update customers set email = ?" in said
    assert VALUE not in said
    assert "reason-secret" not in said
    leaves = told.gateway.call("GET", "audit/leaves?kind=approval.granted", "alice")["items"]
    assert leaves[0]["how"] == "slack"
    sent = told.gateway.call("GET", "notices?state=sent", "alice")["items"]
    assert {row["channel"] for row in sent} == {"chat", "hook", "mail"}


def test_what_was_not_sent_is_sent_after_a_crash(told: Told) -> None:
    """The receiver is down, the gateway is killed; after the next start it hears, and the others hear nothing twice."""
    told.hook.answers.extend([Answer(503)] * 2)
    with ThreadPoolExecutor() as pool:
        agent, answer = told.ask(pool)
        eventually(lambda: bool(told.hook.requests and told.slack.top() and told.mails))
        rows = "notices?state=sent"
        eventually(lambda: len(told.gateway.call("GET", rows, "alice")["items"]) == 2)
        told.gateway.kill()
        with pytest.raises(psycopg.Error):
            answer.result(20)
        agent.close()
    told.gateway.start()
    eventually(lambda: len(told.gateway.call("GET", rows, "alice")["items"]) >= 3)
    ids = [request.headers["webhook-id"] for request in told.hook.requests]
    assert len(ids) >= 3
    assert ids[0] == ids[1]
    asked = [mail for mail in told.mails if b"It waits for an answer." in mail]
    assert (len(told.slack.top()), len(asked)) == (1, 1)


def test_everybody_hears_alarms(told: Told) -> None:
    """Broken glass and the kill switch, whoever is down."""
    told.hook.answers.append(Answer(500))
    proof = {"method": "password", "password": PASSWORD}
    body = {"resource": "shop", "seconds": 600, "reason": "reason-secret", "proof": proof}
    told.gateway.call("POST", "break-glass", "alice", **body)
    told.gateway.call("POST", "kill", "alice", what="resource", name="shop", reason="reason-secret")
    eventually(lambda: {"breakglass.opened", "kill.ordered"} <= set(told.events()))
    eventually(lambda: len(told.mails) == 2 and len(told.slack.top()) == 2)
    assert all(b"[ALARM]" in mail for mail in told.mails)
    assert "reason-secret" not in told.everything()


def test_nothing_waits_for_a_receiver_that_hangs(postgres: Postgres, tmp_path: Path) -> None:
    """A mail server that takes connections and says nothing: statements, other channels and the stop go on."""
    with SlackDouble() as slack, Receiver() as hook, socket.create_server(("127.0.0.1", 0)) as silent:
        told = Told(postgres, tmp_path, slack, hook, silent.getsockname()[1])
        with ThreadPoolExecutor() as pool:
            agent, answer = told.ask(pool)
            eventually(lambda: bool(slack.top()))
            told.press("approve")
            assert answer.result(20) == "UPDATE 500"
            agent.close()
        assert told.gateway.stop() == 0
