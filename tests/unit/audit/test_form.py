"""Leaves encoded once and filled in are the leaves that would be encoded each time."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.audit.entry import LARGEST, encode
from tidegate.audit.form import Form

number = st.integers(0, 2**52)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(text, st.tuples(number, number, number, number, number), st.binary(min_size=32, max_size=32))
def test_a_filled_form_is_the_encoded_leaf(
    word: str, values: tuple[int, int, int, int, int], commitment: bytes
) -> None:
    """Byte for byte, whatever the text around the gaps holds."""
    index, now, monotonic, count, offset = values
    form = Form.of({"k": "op.intent", "op": word, "rec": {"x": 1}}, ("n", "rec.o"), ("stmt",))
    filled = form.fill((index, now, monotonic, count, offset, b64encode(commitment)))
    leaf = {"i": index, "t": now, "m": monotonic, "n": count, "rec": {"o": offset, "x": 1}, "k": "op.intent"}
    assert filled == encode({**leaf, "op": word, "c": {"stmt": b64encode(commitment).decode()}})


def test_commitments_that_stay_are_kept() -> None:
    """A form may carry a commitment of its own beside the gaps."""
    filled = Form.of({"c": {"dec": "kept"}}, (), ("stmt",)).fill((1, 2, 3, b"new"))
    assert filled == b'{"c":{"dec":"kept","stmt":"new"},"i":1,"m":3,"t":2}'


def test_too_large_a_leaf_is_refused() -> None:
    """The limit of an entry holds for filled forms too."""
    form = Form.of({"op": "x" * (LARGEST - 80)}, (), ())
    with pytest.raises(ValueError, match="32768 are the most"):
        form.fill((10**40, 10**40, 10**40))
