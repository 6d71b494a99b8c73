"""What Slack is given to show."""

from __future__ import annotations

import json

from receivers import fits
from tidegate.notify.slack_blocks import blocks, text

from .sample import notice

NASTY = "<!channel> <https://evil.example|click> :rotating_light: *b* ```x``` &amp;"


def test_nothing_that_others_wrote_is_markup() -> None:
    """It stands in plain text or preformatted, and is escaped in the notification."""
    told = notice(title=NASTY, line=NASTY, statement=NASTY, facts=((NASTY, NASTY),), reason=NASTY)
    found = blocks(told, "chat", direct=True, reason=NASTY)
    assert "mrkdwn" not in json.dumps(found)
    assert '"emoji": true' not in json.dumps(found)
    assert "<" not in text(told)
    assert "&lt;!channel&gt;" in text(told)


def test_it_fits_whatever_is_said() -> None:
    """Within the limits of Block Kit, also when everything is as long as can be."""
    long = "x" * 2000
    told = notice(title=long, line=long, statement=long, facts=(("w", long),) * 20, reason=long)
    assert fits(blocks(told, "c" * 63, direct=True, reason=long))
    assert fits(blocks(notice(facts=(), statement="", link=""), "chat", direct=False, reason=""))


def buttons(**words: bool) -> list[str]:
    """What the buttons do."""
    direct = words.pop("channel", True)
    found = blocks(notice(**words), "chat", direct=direct, reason="")[-1]
    return [each["action_id"] for each in found["elements"]]


def test_buttons_answer_only_where_everything_says_so() -> None:
    """The channel, the question, and that it still waits; else there is the page, which asks for a proof."""
    assert buttons() == ["approve", "refuse", "open"]
    assert buttons(channel=False) == ["open"]
    assert buttons(direct=False) == ["open"]
    assert buttons(open=False) == ["open"]


def test_the_button_says_what_it_is_for() -> None:
    """A click on the page's button asks for a fresh proof, and says so; one that answers names exactly what."""
    page = blocks(notice(), "chat", direct=False, reason="")[-1]["elements"][0]
    assert page["text"]["text"] == "Answer on the gateway's page, with a fresh proof"
    assert page["url"] == "https://gateway.example.org/approvals/ap_0123"
    approve = blocks(notice(), "chat", direct=True, reason="")[-1]["elements"][0]
    assert approve["value"] == f"chat ap_0123 {'d' * 64}"
