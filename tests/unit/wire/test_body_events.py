"""Streams of events."""

from __future__ import annotations

import pytest

from tidegate.errors import ResourceError
from tidegate.model.operation import Transform
from tidegate.wire.body_events import LONGEST, EventBody


def look(path: str) -> Transform | None:
    return (lambda _: b"[m]") if path == "$.a" else None


def scan(value: bytes) -> bytes:
    return value.replace(b"secret", b"[f]") if b"secret" in value else value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b'data: {"a": 1}\n\n', b'data: {"a": null}\n\n'),
        (b'event: x\ndata: {"a":\ndata: "y"}\nid: 7\n\n', b'event: x\ndata: {"a":\ndata: "[m]"}\nid: 7\n\n'),
        (b'data:{"b": 1}\r\n\r\n', b'data:{"b": 1}\r\n\r\n'),
        (b"data: a secret\ndata: two\n\n", b"data: a [f]\ndata: two\n\n"),
        (b": secret\n\n", b": [f]\n\n"),
        (b"id: secret\n\n", b"id: [f]\n\n"),
        (b"data\n\n", b"data\n\n"),
        (b"\n\n", b"\n\n"),
        (b"data: secret", b"data: [f]"),
        (b'data: {"a": 1}\r\rdata: {"a": 2}\r\r', b'data: {"a": null}\r\rdata: {"a": null}\r\r'),
    ],
)
def test_events(text: bytes, shown: bytes) -> None:
    """Whole or byte by byte."""
    for step in (1, len(text)):
        body = EventBody(look, scan)
        parts = [body.feed(text[at : at + step]) for at in range(0, len(text), step)]
        assert b"".join(parts) + body.end() == shown


def test_an_event_passes_at_once() -> None:
    """Whoever waits for it does not wait for the next one."""
    body = EventBody(look, scan)
    assert body.feed(b'data: {"a": 1}\n\nda') == b'data: {"a": null}\n\n'


def test_what_is_wrong_does_not_pass() -> None:
    """JSON that is none, and an event without end."""
    with pytest.raises(ResourceError):
        EventBody(look, scan).feed(b'data: {"a": clear}\n\n')
    with pytest.raises(ResourceError):
        EventBody(look, scan).feed(b"data: " + b"x" * LONGEST)
