"""Notices as they are kept."""

from __future__ import annotations

import json

from tidegate.model.notice import Letter, Notice, notice_of


def test_a_notice_is_read_as_it_was_written() -> None:
    """Through JSON."""
    notice = Notice("ap_1.a", "ap_1", "approval.asked", "title", "line", 7, facts=(("Who", "alice"),), direct=True)
    assert notice_of(json.loads(json.dumps(notice.written()))) == notice


def test_a_letter_knows_what_it_is_about() -> None:
    """By its id; its body is not shown."""
    letter = Letter("chat.ap_1.waiting-0", "chat", b"sealed-bytes", "waiting", 0, 0, "", 0)
    assert letter.about == "ap_1"
    assert "sealed-bytes" not in repr(letter)
