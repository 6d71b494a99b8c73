"""A notice as Slack shows it: Block Kit (docs.slack.dev, "Block Kit"), with nothing that Slack reads as markup.

Names and statements are written by others. They stand in ``plain_text`` and preformatted rich text, where neither
``<!channel>`` nor a link nor an emoji means anything; the text for notifications, which is markup, is escaped.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tidegate.model.notice import Notice

Block: TypeAlias = dict[str, Any]

APPROVE, REFUSE, OPEN = "approve", "refuse", "open"
"""What a button does (``action_id``)."""

_TITLE, _FIELD, _FIELDS, _TEXT = 150, 1900, 10, 2900
"""Slack's limits, in characters, or less."""


def text(notice: Notice) -> str:
    """What a notification says: markup, with what has a meaning escaped (``&``, ``<``, ``>``)."""
    return escaped(f"{notice.title}: {notice.line}")


def escaped(words: str) -> str:
    """Text in which no markup of Slack's is left that could call or link."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")[:_TEXT]


def blocks(notice: Notice, channel: str, *, direct: bool, reason: str) -> list[Block]:
    """The message. ``channel`` is its name in the settings; ``direct`` offers an answer by button."""
    found: list[Block] = [{"type": "header", "text": _plain(notice.title, _TITLE)}]
    found.append({"type": "section", "text": _plain(("ALARM: " if notice.urgent else "") + notice.line, _TEXT)})
    fields = [_plain(f"{word}\n{value}", _FIELD) for word, value in notice.facts[:_FIELDS]]
    found += [{"type": "section", "fields": fields}] if fields else []
    found += [_preformatted(notice.statement)] if notice.statement else []
    found += [_note(f"Reason, as stated by who asks: {reason}")] if reason else []
    found += [_note("Values are left out here. The full text is on the gateway's page.")] if notice.statement else []
    buttons = _buttons(notice, channel, direct=direct and notice.direct)
    return [*found, {"type": "actions", "block_id": "answer", "elements": buttons}] if buttons else found


def _buttons(notice: Notice, channel: str, *, direct: bool) -> list[Block]:
    if not notice.link:
        return []
    page: Block = {"type": "button", "action_id": OPEN, "url": notice.link}
    if not notice.open:
        return [{**page, "text": _plain("Open the gateway's page", 75)}]
    if not direct:
        return [{**page, "text": _plain("Answer on the gateway's page, with a fresh proof", 75), "style": "primary"}]
    value = f"{channel} {notice.about} {notice.digest}"
    sure = {
        "title": _plain("Let it run, once?", 100),
        "text": _plain("You have seen it without its values.", 300),
        "confirm": _plain("Approve", 30),
        "deny": _plain("Cancel", 30),
    }
    approve = {"type": "button", "action_id": APPROVE, "text": _plain("Approve", 75), "value": value, "confirm": sure}
    refuse = {"type": "button", "action_id": REFUSE, "text": _plain("Refuse", 75), "value": value, "style": "danger"}
    return [approve, refuse, {**page, "text": _plain("Open the gateway's page", 75)}]


def _plain(words: str, most: int) -> Block:
    shown = words if len(words) <= most else f"{words[: most - 1]}…"
    return {"type": "plain_text", "text": shown, "emoji": False}


def _preformatted(words: str) -> Block:
    element = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": words[:_TEXT]}]}
    return {"type": "rich_text", "elements": [element]}


def _note(words: str) -> Block:
    return {"type": "context", "elements": [_plain(words, _FIELD)]}
