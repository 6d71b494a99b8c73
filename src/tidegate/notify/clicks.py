"""Buttons that were pressed in Slack: whether it was Slack that says so, and what was pressed.

Slack signs each request with a secret of the app (docs.slack.dev, "Verifying requests from Slack"): HMAC-SHA256 over
time and body. Accepted is what was signed within the last five minutes, once, for a workspace and a conversation that
the settings name; somebody of another workspace, with whom the conversation is shared, does not count. What does not
hold is refused in the same words whatever it was.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
from slack_sdk.signature import Clock as SlackClock
from slack_sdk.signature import SignatureVerifier

from tidegate.clock import Clock
from tidegate.errors import AgentError
from tidegate.settings_notify import SlackChannel

from .channel import Secret
from .slack_blocks import APPROVE, REFUSE

WINDOW = 300
"""Seconds around now in which a request must have been signed; the verifier has the same."""

SEEN = 10_000
"""Signatures that are remembered, so that none is taken twice; with more of them in a window none is taken."""

KEPT = 10
"""Seconds that a signing secret is kept."""

_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNED = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_ID = re.compile(r"[A-Z0-9]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Click:
    """Who (Slack's user id) pressed which button (``approve`` or ``refuse``), about which approval and digest.

    ``channel`` is the name in the settings.
    """

    channel: str
    user: str
    verb: str
    approval: str
    digest: str


class Clicks:
    """``channels`` are those that take answers, with what reads their signing secrets. Event loop only."""

    def __init__(self, channels: Mapping[str, tuple[SlackChannel, Secret]], clock: Clock) -> None:
        self._channels = channels
        self._clock = clock
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._reading = asyncio.Lock()
        self._kept: dict[str, tuple[str, int]] = {}

    async def read(self, body: bytes, time: str, signature: str) -> Click | None:
        """What was pressed; None for a button that needs no answer. Raises AgentError ``notice.signature``."""
        if not (_TIME.fullmatch(time) and _SIGNED.fullmatch(signature)):
            raise _forged()
        # Every secret is tried, so that how long it takes tells nothing.
        signed = [name for name in self._channels if await self._holds(name, body, time, signature)]
        if not signed or self._replayed(signature):
            raise _forged()
        return self._click(_payload(body), signed)

    async def _holds(self, name: str, body: bytes, time: str, signature: str) -> bool:
        secret = await self._secret(name)
        try:
            return SignatureVerifier(secret, _Now(self._clock)).is_valid(body, time, signature)
        except ValueError:
            return False

    async def _secret(self, name: str) -> str:
        """Kept for ``KEPT`` seconds: strangers may post here, and each would have it read anew."""
        async with self._reading:
            secret, moment = self._kept.get(name, ("", 0))
            now = self._clock.monotonic()
            if not secret or now - moment > KEPT * 1_000_000:
                secret = await self._channels[name][1]()
                self._kept[name] = secret, now
            return secret

    def _replayed(self, signature: str) -> bool:
        now = self._clock.now()
        while self._seen and next(iter(self._seen.values())) < now - 2 * WINDOW * 1_000_000:
            self._seen.popitem(last=False)
        if signature in self._seen or len(self._seen) >= SEEN:
            return True
        self._seen[signature] = now
        return False

    def _click(self, payload: Mapping[str, Any], signed: list[str]) -> Click | None:
        actions = payload.get("actions")
        pressed = actions[0] if isinstance(actions, list) and len(actions) == 1 else None
        if payload.get("type") != "block_actions" or not isinstance(pressed, dict):
            return None
        verb, value = pressed.get("action_id"), str(pressed.get("value", "")).split(" ")
        if verb not in (APPROVE, REFUSE) or len(value) != 3:
            return None
        name, approval, digest = value
        user, settings = payload.get("user"), self._channels[name][0] if name in signed else None
        if settings is None or not isinstance(user, dict) or not _of(payload, user, settings):
            raise _forged()
        return Click(name, str(user["id"]), str(verb), approval, digest)


def _of(payload: Mapping[str, Any], user: Mapping[str, Any], settings: SlackChannel) -> bool:
    """Whether somebody of the workspace pressed it, in the conversation."""
    teams = {_id(payload.get("team")), str(user.get("team_id") or settings.team)}
    return (
        teams == {settings.team}
        and _id(payload.get("channel")) == settings.channel
        and _ID.fullmatch(str(user.get("id", ""))) is not None
    )


def _id(value: object) -> str:
    return str(value.get("id", "")) if isinstance(value, dict) else ""


def _payload(body: bytes) -> Mapping[str, Any]:
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10, strict_parsing=True)
        payload = orjson.loads(fields["payload"][0])
    except (ValueError, KeyError):
        raise _forged() from None
    if not isinstance(payload, dict) or len(fields["payload"]) != 1:
        raise _forged()
    return payload


def _forged() -> AgentError:
    return AgentError(
        "this is no request that Slack has signed for this gateway, a moment ago and once",
        hint="Look at `signing`, `team` and `channel` under `notify` in tidegate.yaml, and at this machine's clock.",
        code="notice.signature",
    )


class _Now(SlackClock):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        return self._clock.now() / 1e6
