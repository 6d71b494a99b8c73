"""Text is searched in pieces without cutting what is searched for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pieces import splits
from tidegate.masking.detectors import OVERLAP as LONGEST
from tidegate.masking.detectors import Detectors
from tidegate.wire.body_text import OVERLAP, PlainBody, TextBody

SCAN = Detectors(("pii", "secret"), frozenset(), b"k" * 32)


def test_the_overlap_is_that_of_the_detectors() -> None:
    """The two files may not import each other."""
    assert OVERLAP == LONGEST


@settings(max_examples=40)
@given(st.integers(0, 3 * OVERLAP), st.integers(1, 997))
def test_a_value_anywhere_is_found(before: int, step: int) -> None:
    """Wherever it stands in a stream, however the stream is cut."""
    text = b"x" * before + b" bob@example.org " + b"y" * 2 * OVERLAP
    body = TextBody(SCAN)
    said = b"".join(body.feed(text[at : at + step]) for at in range(0, len(text), step)) + body.end()
    assert said == SCAN(text)
    assert body.changed == {"$": 1}


@given(st.binary(max_size=100), st.data())
def test_plain(text: bytes, data: st.DataObject) -> None:
    """The very bytes, at once."""
    body = PlainBody()
    parts = data.draw(splits(text))
    assert [body.feed(part) for part in parts] == parts
    assert body.end() == b""
