"""Any way to cut bytes in pieces, for laws that say that it does not matter."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st


def splits(text: bytes) -> st.SearchStrategy[list[bytes]]:
    """``text`` in pieces, whole and byte by byte among them."""
    if not text:
        return st.just([b""])
    each = st.just([text[at : at + 1] for at in range(len(text))])
    cuts = st.lists(st.integers(0, len(text)), max_size=6).map(lambda places: [0, *sorted(places), len(text)])
    return cuts.map(lambda places: [text[a:b] for a, b in itertools.pairwise(places)]) | each
