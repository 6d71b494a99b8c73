"""Notices in Slack: one message for each thing, kept up to date in place, with what happened to it in its thread.

By ``chat.postMessage`` and ``chat.update`` of Slack's Web API (docs.slack.dev). Slack answers 200 also when it refuses;
what counts is ``ok``. At a limit it says 429 and how long to wait, and is left alone for that time.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from tidegate.model.notice import Notice
from tidegate.settings_notify import SlackChannel

from .channel import Secret, Thread, Undelivered
from .courier import Courier
from .slack_blocks import blocks, escaped, text

_HOPELESS = frozenset(
    ("invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_arguments")
)
"""Errors that are about the message itself; others may pass once somebody has seen to them."""

_LOST = frozenset(("message_not_found", "cant_update_message", "edit_window_closed"))
"""Errors after which the message must be posted anew."""

_WORD = re.compile(r"[a-z_]{1,60}", re.ASCII)
_PLACE = re.compile(r"[A-Za-z0-9.]{1,40}", re.ASCII)


class Slack:
    """One conversation. ``token`` reads the bot's."""

    quiet: frozenset[str] = frozenset()

    def __init__(self, name: str, settings: SlackChannel, token: Secret) -> None:
        self._name = name
        self._settings = settings
        self._token = token
        self._courier = Courier(settings.ca)

    async def send(self, notice: Notice, thread: Thread) -> Thread:
        """See ``Channel``; a thread is the message's ``channel`` and ``ts``, which together name it."""
        reason = notice.reason if self._settings.reasons else ""
        shown = {
            "text": text(notice),
            "blocks": blocks(notice, self._name, direct=self._settings.direct, reason=reason),
            "parse": "none",
            "link_names": False,
        }
        if not thread or not await self._updated(thread, shown):
            return await self._posted(shown)
        await self._posted({"text": escaped(notice.line), "thread_ts": thread["ts"]}, thread["channel"])
        return thread

    async def whisper(self, user: str, words: str) -> None:
        """Say something that only ``user`` sees. Raises Undelivered."""
        said = {"channel": self._settings.channel, "user": user, "text": escaped(words)}
        await self._call("chat.postEphemeral", said)

    async def _updated(self, thread: Thread, shown: dict[str, Any]) -> bool:
        """False when the message is gone."""
        try:
            await self._call("chat.update", {**shown, "channel": thread["channel"], "ts": thread["ts"]})
        except Undelivered as error:
            if error.why in _LOST:
                return False
            raise
        return True

    async def _posted(self, shown: dict[str, Any], channel: str = "") -> Thread:
        more = {"channel": channel or self._settings.channel, "unfurl_links": False, "unfurl_media": False}
        answer = await self._call("chat.postMessage", {**shown, **more})
        place, ts = str(answer.get("channel", "")), str(answer.get("ts", ""))
        if not (_PLACE.fullmatch(place) and _PLACE.fullmatch(ts)):
            raise Undelivered("an answer without the message's name")
        return {"channel": place, "ts": ts}

    async def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "authorization": f"Bearer {await self._token()}",
            "content-type": "application/json; charset=utf-8",
        }
        reply = await self._courier.post(f"{self._settings.api}/{method}", orjson.dumps(body), headers)
        if reply.status != 200:
            raise Undelivered(f"status {reply.status}", after=reply.after)
        try:
            answer = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise Undelivered("an answer that is no JSON object")
        if answer.get("ok") is not True:
            error = str(answer.get("error", ""))
            why = error if _WORD.fullmatch(error) else "an error without a name"
            raise Undelivered(why, final=why in _HOPELESS, after=reply.after)
        return answer
