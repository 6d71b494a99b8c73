"""The upstream's credential is overwritten wherever it is echoed, and lengths stay."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.enforcement.scrub import SHORTEST, Scrub

SECRET = "s3cr3t of the/upstream+"
FORMS = {
    "raw": SECRET.encode(),
    "hexadecimal": SECRET.encode().hex().encode(),
    "url": quote(SECRET, safe="").encode(),
    "base64": base64.b64encode(SECRET.encode()),
    "base64 behind one byte": base64.b64encode(b"u" + SECRET.encode() + b"tail"),
    "base64 behind two bytes": base64.b64encode(b"u:" + SECRET.encode() + b"tail"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_overwritten(form: str) -> None:
    """Raw or encoded, the credential goes and the length stays."""
    data = b"before " + FORMS[form] + b" after"
    clean = Scrub(SECRET)(data)
    assert len(clean) == len(data) and clean.startswith(b"before ") and b"xxxxxxxx" in clean


@given(before=st.binary(max_size=30), after=st.binary(max_size=30), secret=st.text(min_size=SHORTEST, max_size=40))
def test_the_secret_never_remains(before: bytes, after: bytes, secret: str) -> None:
    """Law: whatever surrounds it, the raw secret is not in the output, unless it is nothing but x."""
    clean = Scrub(secret)(before + secret.encode() + after)
    assert len(clean) == len(before + secret.encode() + after)
    assert secret.encode() not in clean or set(secret) == {"x"}


def test_clean_data_is_the_same_object() -> None:
    """Nothing found, nothing copied."""
    data = b"an ordinary row"
    assert Scrub(SECRET)(data) is data
    assert Scrub("short")(b"a short text") == b"a short text"
