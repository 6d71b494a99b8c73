"""Forms."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pieces import splits
from tidegate.errors import ResourceError
from tidegate.wire.body_form import LONGEST, FormBody

PAIRS = st.lists(st.tuples(st.sampled_from(["a", "secret", "é &="]), st.text(min_size=1, max_size=6)), max_size=4)


@given(PAIRS, st.data())
def test_only_tagged_fields_change(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    """In any pieces."""
    raw = urlencode(pairs).encode()
    body = FormBody(lambda path: (lambda _: b"[m &") if path == "$.secret" else None, None)
    found = b"".join(map(body.feed, data.draw(splits(raw)))) + body.end()
    assert parse_qsl(found.decode()) == [(name, "[m &" if name == "secret" else value) for name, value in pairs]


def test_a_field_has_a_limit() -> None:
    """Nothing is held without end."""
    with pytest.raises(ResourceError):
        FormBody(lambda _: None, None).feed(b"x" * (LONGEST + 1))
