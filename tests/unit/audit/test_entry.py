"""Entries are canonical."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.audit.entry import LARGEST, decode, encode
from tidegate.audit.verify import read_entry

keys = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(keys, values))
def test_every_leaf_has_one_form_that_the_verifier_accepts(leaf: dict[str, object]) -> None:
    """Bytes read back equal, are sorted compact JSON, and count as canonical for the independent verifier."""
    entry = encode(leaf)  # type: ignore[arg-type]
    assert decode(entry) == leaf == read_entry(entry)
    assert entry == json.dumps(leaf, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), "\ud800", b"x", (1,), datetime.now(UTC), {"Key": 1}, {1: 1}, [[0.0]], {"a\n": 1}]
)
def test_what_the_domain_does_not_hold_is_refused(value: object) -> None:
    """Floats, large integers, lone surrogates, odd keys and other types never become a leaf."""
    with pytest.raises(ValueError):
        encode({"x": value})  # type: ignore[dict-item]


def test_a_leaf_has_a_largest_size() -> None:
    """32,768 bytes fit, one more does not."""
    assert len(encode({"x": "a" * (LARGEST - 8)})) == LARGEST
    with pytest.raises(ValueError, match="32768"):
        encode({"x": "a" * (LARGEST - 7)})


def test_only_an_object_is_a_leaf() -> None:
    """JSON that is no object is no entry."""
    with pytest.raises(ValueError, match="object"):
        decode(b"[]")
