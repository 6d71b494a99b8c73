"""What becomes of values."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.masking.transforms import transform
from tidegate.model.operation import Shape

KEY = bytes(range(32))
TAGS = st.sampled_from(["pii.email", "pii.ssn", "crm.name", "catalog.values", "unknown"])
TEXTUAL = st.sampled_from([Shape.TEXT, Shape.JSON])


def masked(tag: str, value: bytes, shape: Shape = Shape.TEXT, *, whole: bool = False, key: bytes = KEY) -> bytes:
    mask = transform(tag, shape, key, whole=whole)(value)
    assert mask is not None
    return mask


def test_a_pseudonym_is_a_keyed_hash_of_the_value() -> None:
    """The mask of an address can be recomputed by who holds the key, from RFC 7693 alone."""
    own = hashlib.blake2s(b"pii.email", key=KEY).digest()
    digest = hashlib.blake2s(own + b"a@example.com", digest_size=4).hexdigest()
    assert masked("pii.email", b"a@example.com") == f"[masked:email {digest}]".encode()


def test_another_tag_gives_other_pseudonyms() -> None:
    """Who sees a name as two kinds of field cannot tell that it is one."""
    assert masked("pii.name", b"a")[-10:] != masked("crm.name", b"a")[-10:]


@pytest.mark.parametrize("tag", ["pii.ssn", "pii.card", "pii.dob", "pii.phone", "catalog.values", "pii.notes"])
def test_guessable_kinds_have_no_pseudonym(tag: str) -> None:
    """Equal masks of few possible values would give them away."""
    assert masked(tag, b"1") == masked(tag, b"2") == f"[masked:{tag.split('.')[1]}]".encode()


def test_a_computed_value_has_no_pseudonym() -> None:
    """Else the pseudonyms of single letters would spell an address."""
    assert masked("pii.email", b"a", whole=True) == b"[masked:email]"


def test_other_shapes_become_null() -> None:
    """A number or date has no text to stand in for it."""
    assert transform("pii.email", Shape.OTHER, KEY, whole=False)(b"1970-01-01") is None


def test_another_key_gives_other_pseudonyms() -> None:
    """Resources cannot be joined by their masks."""
    assert masked("pii.email", b"a") != masked("pii.email", b"a", key=bytes(32))


def test_a_short_key_is_refused() -> None:
    """A key is 32 bytes."""
    with pytest.raises(ValueError, match="32 bytes"):
        transform("pii.email", Shape.TEXT, b"short", whole=False)


@given(TAGS, st.binary(min_size=9), TEXTUAL, st.booleans())
def test_the_clear_value_never_shows(tag: str, value: bytes, shape: Shape, whole: bool) -> None:
    """No mask contains the value that it stands for."""
    assume(value not in masked(tag, b"", shape, whole=True))
    assert value not in masked(tag, value, shape, whole=whole)


@given(TAGS, st.binary(), TEXTUAL)
def test_masks_are_short_and_hold_nothing_but_label_and_digits(tag: str, value: bytes, shape: Shape) -> None:
    """Whatever the value, the mask is the label and at most eight hexadecimal digits: 32 bits of a keyed hash."""
    mask = masked(tag, value, shape)
    quote = b'"' if shape is Shape.JSON else b""
    label = tag.rpartition(".")[2].encode()
    rest = mask.removeprefix(quote + b"[masked:" + label).removesuffix(b"]" + quote)
    assert rest == b"" or (len(rest) == 9 and rest[:1] == b" " and int(rest[1:], 16) >= 0)


@given(st.binary(), st.binary())
def test_equal_values_have_equal_masks(one: bytes, other: bytes) -> None:
    """Joins survive, and across TEXT and JSON the pseudonym is the same."""
    assert (masked("a.id", one) == masked("a.id", other)) == (one == other)
    assert json.loads(masked("a.id", one, Shape.JSON)) == masked("a.id", one).decode()
