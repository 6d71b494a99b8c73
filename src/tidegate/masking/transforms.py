"""What becomes of a masked value: typed Python over bytes, one small object per column and no closure per cell.

Text becomes ``[masked:email 3f9a12c4]``, a pseudonym: equal values have equal masks, so joins and counts still work.
Only tags that end in ``email``, ``name`` or ``id`` get one. Numbers of cards, phones and persons, dates of birth, notes
and catalog values become ``[masked:ssn]``: where values are few or their frequencies known, equality alone gives them
away. Other shapes (numbers, dates) become null, since no text would decode.

Invariants: no clear byte reaches the output; without the key (32 bytes, one per resource) a pseudonym cannot be tried
out. Who may insert values of their own choice can still compare pseudonyms; such rights need a hold, not a mask.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import Final

from tidegate.model.operation import Constant, Shape, Transform

MARKER: Final = "[masked"
"""How every mask begins; a statement with an effect must not carry it back."""

_PSEUDONYMS: Final = frozenset({"email", "name", "id"})


class Pseudonym:
    """``[masked:email 3f9a12c4]``: four bytes of BLAKE2s (RFC 7693) over a key of the tag and the value.

    The tag's key is keyed BLAKE2s over the tag. It stands before the value rather than in a padded block of its own, as
    in the keyed mode: BLAKE2 has no length extension, and most values then cost one block instead of two.
    """

    __slots__ = ("_head", "_keyed", "_tail")

    def __init__(self, tag: str, key: bytes, quote: bytes) -> None:
        self._keyed = blake2s(blake2s(tag.encode(), key=key).digest(), digest_size=4)
        self._head: bytes = quote + f"{MARKER}:{label(tag)} ".encode()
        self._tail: bytes = b"]" + quote

    def __call__(self, value: bytes) -> bytes:
        """The mask of one clear value."""
        keyed = self._keyed.copy()
        keyed.update(value)
        return self._head + keyed.hexdigest().encode() + self._tail


def label(tag: str) -> str:
    """The last part of a tag, as it stands in masks."""
    return tag.rpartition(".")[2]


def transform(tag: str, shape: Shape, key: bytes, *, whole: bool) -> Transform:
    """The mask for a column of ``shape``.

    ``whole`` says that the cell is computed rather than the field's own value: then there is no pseudonym, since the
    pseudonyms of ``substr(email, n, 1)`` would spell the address. Raises ValueError for a key that is not 32 bytes.
    """
    if len(key) != 32:
        raise ValueError("the key of masks has 32 bytes")
    if shape is Shape.OTHER:
        return Constant(None)
    quote = b'"' if shape is Shape.JSON else b""
    if whole or label(tag) not in _PSEUDONYMS:
        return Constant(quote + f"{MARKER}:{label(tag)}]".encode() + quote)
    return Pseudonym(tag, key, quote)
