"""Standard Webhooks, checked by the library that receivers use."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from standardwebhooks.webhooks import Webhook as Receiving
from standardwebhooks.webhooks import WebhookVerificationError

from receivers import Answer, Receiver
from tidegate.clock import SystemClock
from tidegate.errors import ConfigError
from tidegate.model.notice import Notice
from tidegate.notify.channel import Undelivered
from tidegate.notify.webhook import Webhook, message
from tidegate.settings_notify import WebhookChannel

from .sample import always, notice, run

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SCHEMA = json.loads(files("tidegate.notify").joinpath("webhook.schema.json").read_text())


def send(url: str, told: Notice, secret: str = SECRET, **changes: Any) -> None:
    """Send one."""
    settings = WebhookChannel(
        **{"url": url, "secret": "env:S", "ca": "", "internal": False, "reasons": False} | changes
    )
    run(Webhook("hook", settings, always(url), always(secret), SystemClock()).send(told, {}))


def test_a_receiver_verifies_it() -> None:
    """Id, time and signature hold, and the body is what the schema says; another secret's signature does not hold."""
    with Receiver() as server:
        send(server.url, notice())
    request = server.requests[0]
    body = Receiving(SECRET).verify(request.body, dict(request.headers))
    jsonschema.validate(body, SCHEMA)
    assert (body["type"], body["timestamp"]) == ("approval.asked", "2026-09-21T14:13:20.000Z")
    assert body["data"]["statement"] == "UPDATE customers SET mail = ? WHERE id = ?"
    assert body["data"]["reason"] == ""
    assert request.headers["webhook-id"] == "ap_0123.waiting-0"
    with pytest.raises(WebhookVerificationError):
        Receiving("whsec_" + "A" * 32).verify(request.body, dict(request.headers))


def test_each_attempt_has_the_same_id() -> None:
    """So that a receiver drops what it has seen."""
    with Receiver() as server:
        for _ in range(2):
            send(server.url, notice())
    assert len({request.headers["webhook-id"] for request in server.requests}) == 1


def test_reasons_go_out_if_settings_say_so() -> None:
    """And else not."""
    assert message(notice(), reasons=True)["data"]["reason"] == "reason-secret"
    assert "reason-secret" not in json.dumps(message(notice(), reasons=False))


def test_an_address_by_reference() -> None:
    """It may be a secret itself."""
    with Receiver() as server:
        settings = WebhookChannel("env:URL", "env:S", "", False, False)
        hook = Webhook("hook", settings, always(f"{server.url}/secret"), always(SECRET), SystemClock())
        run(hook.send(notice(), {}))
        assert server.requests[0].path == "/secret"


@pytest.mark.parametrize(("status", "final"), [(500, False), (404, False), (302, False), (429, False), (410, True)])
def test_what_is_no_success_is_a_failure(status: int, final: bool) -> None:
    """Tried again, unless the receiver is gone."""
    with Receiver() as server:
        server.answers.append(Answer(status, headers={"retry-after": "9"}))
        with pytest.raises(Undelivered) as error:
            send(server.url, notice())
    assert (error.value.why, error.value.final, error.value.after) == (f"status {status}", final, 9)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "hunter2-hunter2-hunter2-!"])
def test_a_secret_that_is_too_weak_is_not_used(secret: str) -> None:
    """Nothing is sent, and the error does not show it."""
    with Receiver() as server:
        with pytest.raises(ConfigError) as error:
            send(server.url, notice(), secret)
        assert not server.requests
    assert len(secret) < 8 or secret not in str(error.value)
