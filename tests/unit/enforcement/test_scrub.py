"""The upstream's credential is overwritten wherever it is echoed, and lengths stay."""

from __future__ import annotations

import base64
import random
from itertools import accumulate, pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.enforcement.scrub import LATE, SHORTEST, Known, Scrub

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
    clean = Scrub(Known(SECRET))(data)
    assert len(clean) == len(data) and clean.startswith(b"before ") and b"xxxxxxxx" in clean


@given(before=st.binary(max_size=30), after=st.binary(max_size=30), secret=st.text(min_size=SHORTEST, max_size=40))
def test_the_secret_never_remains(before: bytes, after: bytes, secret: str) -> None:
    """Law: whatever surrounds it, the raw secret is not in the output, unless it is nothing but x."""
    clean = Scrub(Known(secret))(before + secret.encode() + after)
    assert len(clean) == len(before + secret.encode() + after)
    assert secret.encode() not in clean or set(secret) == {"x"}


@pytest.mark.parametrize("size", [2_000, 20_000])
def test_long_credentials_are_overwritten(size: int) -> None:
    """Some upstreams take signed tokens of thousands of bytes as a password."""
    secret = "".join(random.Random(size).choices("abc+/=&%.\0\n", k=size))
    for form in (secret.encode(), quote(secret, safe="").encode(), secret.encode().hex().encode()):
        assert Scrub(Known(secret))(b"<" + form + b">") == b"<" + b"x" * len(form) + b">"


@given(data=st.data())
def test_a_streamed_secret_never_remains(data: st.DataObject) -> None:
    """Law: however a message is cut, it comes out as it would in one piece, and so is it recorded."""
    text = data.draw(
        st.lists(st.sampled_from([SECRET.encode(), *FORMS.values(), b"s3cr3t", b"and more"])).map(b"".join)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    scrub = Scrub(Known(SECRET))
    came, shown, hidden = b"", b"", data.draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
    for number, piece in enumerate(pieces):
        visible = piece if not hidden[number] else b""
        one, two = scrub.stream(piece, visible, more=number + 1 < len(pieces))
        came, shown = came + one, shown + two
    assert len(came) == len(text) and SECRET.encode() not in came + shown
    assert any(hidden) or (shown == came and scrub.found is (shown != text))
    assert scrub.stream(b"next", b"next", more=False) == (b"next", b"next")


@given(data=st.data())
def test_a_secret_in_a_message_that_chunks_cut_never_remains(data: st.DataObject) -> None:
    """Law: where whole messages are shown of chunks that end anywhere, none shows a secret, and no record holds one."""
    messages = data.draw(st.lists(st.sampled_from([b"<" + form + b">" for form in (SECRET.encode(), b"clean")])))
    ends = list(accumulate(map(len, messages), initial=0))
    text, given, shown, scrub = b"".join(messages), 0, b"", Scrub(Known(SECRET))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    for start, end in pairwise([0, *cuts, len(text)]):
        whole = max(at for at in ends if at <= end)
        seen, out = scrub.stream(text[start:end], text[given:whole], more=False)
        assert len(seen) == end - start and SECRET.encode() not in seen
        given, shown = whole, shown + out
    assert shown == text.replace(SECRET.encode(), b"x" * len(SECRET)) and scrub.found is (SECRET.encode() in text)


def test_what_was_rewritten_is_searched_on_both_sides() -> None:
    """A secret that is not shown is not recorded either, whatever was cut before."""
    scrub = Scrub(Known(SECRET))
    assert scrub.stream(b"whole, cut ", b"whole, ", more=False) == (b"whole, cut ", b"whole, ")
    came, shown = scrub.stream(b"short" + SECRET.encode() + b"end", b"cut short", more=False)
    assert (came, shown) == (b"short" + b"x" * len(SECRET) + b"end", b"cut short")
    assert scrub.stream(SECRET.encode(), b"masked", more=False) == (b"x" * len(SECRET), b"masked")
    assert Scrub(Known(SECRET)).stream(b"y" * 99, SECRET.encode(), more=False) == (b"y" * 99, b"x" * len(SECRET))


def test_a_message_of_any_length_may_be_cut() -> None:
    """What is held of it is searched again with its rest only while that is little."""
    scrub, large = Scrub(Known(SECRET)), bytes(LATE + 1)
    assert scrub.stream(large, b"", more=False) == (large, b"")
    assert scrub.stream(b"rest", large + b"rest", more=False) == (b"rest", large + b"rest")
    assert scrub.stream(b"next" + SECRET.encode(), b"next", more=False)[0][:4] == b"next"


def test_clean_data_is_the_same_object() -> None:
    """Nothing found, nothing copied."""
    data = b"an ordinary row"
    assert Scrub(Known(SECRET))(data) is data
    assert Scrub(Known("short"))(b"a short text") == b"a short text"


def test_a_new_value_is_looked_for_at_once() -> None:
    """A session that began with the old credential does not show the new one either, nor its own until it is gone."""
    known = Known(SECRET)
    scrub = Scrub(known)
    known.change((SECRET, "the-next-password"))
    assert scrub(b"the-next-password " + SECRET.encode()) == b"x" * 17 + b" " + b"x" * len(SECRET)
    known.change(("the-next-password",))
    assert scrub(SECRET.encode()) == SECRET.encode()


def test_a_value_inside_another() -> None:
    """The longer one is overwritten whole although the shorter one is its beginning."""
    scrub = Scrub(Known("password-one", "password-one-and-more"))
    assert scrub(b"password-one-and-more") == b"x" * 21
