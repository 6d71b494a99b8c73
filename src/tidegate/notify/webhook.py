"""Notices for any system, as Standard Webhooks (standardwebhooks.com, version 1): signed JSON.

The body is described by ``webhook.schema.json`` beside this file. ``webhook-id`` is the same for each attempt at one
notice, so that a receiver drops what it has seen; the time that is signed is the attempt's, so that it can refuse what
is old.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks.webhooks import Webhook as Signature

from tidegate.clock import Clock
from tidegate.errors import ConfigError
from tidegate.model.notice import Notice
from tidegate.model.secret import parse
from tidegate.settings_notify import WebhookChannel

from .channel import Secret, Thread, Undelivered
from .courier import Courier

SHORTEST = 24
"""Bytes that a secret has at least (Standard Webhooks, "Signature scheme")."""


class Webhook:
    """One receiver. ``url`` reads its address, which may be a secret."""

    quiet: frozenset[str] = frozenset()

    def __init__(self, name: str, settings: WebhookChannel, url: Secret, secret: Secret, clock: Clock) -> None:
        self._name = name
        self._settings = settings
        self._url = url
        self._secret = secret
        self._clock = clock
        self._courier = Courier(settings.ca, internal=settings.internal)

    async def send(self, notice: Notice, thread: Thread) -> Thread:
        """See ``Channel``."""
        body = orjson.dumps(message(notice, reasons=self._settings.reasons))
        moment = datetime.fromtimestamp(self._clock.now() // 1_000_000, UTC)
        signature = _signature(await self._secret()).sign(notice.id, moment, body.decode())
        headers = {
            "content-type": "application/json",
            "user-agent": "tidegate",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
        }
        address = await self._url() if parse(self._settings.url) else self._settings.url
        reply = await self._courier.post(address, body, headers)
        if not 200 <= reply.status < 300:
            # 410 Gone is how a receiver says that it wants no more of this.
            raise Undelivered(f"status {reply.status}", final=reply.status == 410, after=reply.after)
        return thread


def message(notice: Notice, *, reasons: bool) -> dict[str, Any]:
    """The body: ``type``, ``timestamp`` and ``data`` as Standard Webhooks recommends."""
    data = {
        "id": notice.about,
        "title": notice.title,
        "line": notice.line,
        "urgent": notice.urgent,
        "open": notice.open,
        "facts": [{"name": word, "value": value} for word, value in notice.facts],
        "statement": notice.statement,
        "reason": notice.reason if reasons else "",
        "link": notice.link,
    }
    moment = datetime.fromtimestamp(notice.moment / 1e6, UTC).isoformat(timespec="milliseconds")
    return {"type": notice.event, "timestamp": moment.replace("+00:00", "Z"), "data": data}


def _signature(secret: str) -> Signature:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if len(key) < SHORTEST:
        raise ConfigError(
            f"a webhook's secret is whsec_ and base64 of {SHORTEST} bytes or more",
            hint="Make one: echo whsec_$(openssl rand -base64 32)",
            code="notice.secret",
        )
    return Signature(key)
