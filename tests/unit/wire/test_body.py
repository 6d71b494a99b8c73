"""What a body is read as, and what must not pass."""

from __future__ import annotations

import gzip
import json

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pieces import splits
from tidegate.errors import ResourceError
from tidegate.masking.detectors import Detectors
from tidegate.model.operation import Transform
from tidegate.wire.body import Body, body, structured

SCAN = Detectors(("pii", "secret"), frozenset(), b"k" * 32)


def look(path: str) -> Transform | None:
    """``email`` is tagged wherever it is; all else is searched."""
    return (lambda _: b"[masked]") if path.endswith(".email") else SCAN


def made(media: str, coding: str = "", *, tagged: bool = True, binary: bool = False, scan: bool = True) -> Body:
    found = body(media, coding, look, SCAN if scan else None, tagged=tagged, binary=binary)
    assert found is not None
    return found


def whole(reader: Body, data: bytes) -> bytes:
    return reader.feed(data) + reader.end()


@pytest.mark.parametrize(
    ("media", "text", "shown"),
    [
        ("application/json", b'{"email": "x", "b": 1}', b'{"email": "[masked]", "b": 1}'),
        ("application/problem+json; charset=utf-8", b'{"email": "x"}', b'{"email": "[masked]"}'),
        ("Application/JSON", b' [{"email": "x"}]', b' [{"email": "[masked]"}]'),
        ("text/plain", b'\n {"email": "x"}', b'\n {"email": "[masked]"}'),
        ("text/html", b'[{"email": "x"}]', b'[{"email": "[masked]"}]'),
        ("", b'{"email": "x"}', b'{"email": "[masked]"}'),
        ("application/x-ndjson", b'{"email":"x"}\n{"email":"y"}\n', b'{"email":"[masked]"}\n{"email":"[masked]"}\n'),
        ("text/csv", b"id,email\n1,x\n", b'id,email\n1,"[masked]"\n'),
        ("text/tab-separated-values", b"id\temail\n1\tx\n", b'id\temail\n1\t"[masked]"\n'),
        ("text/event-stream", b'data: {"email": "x"}\n\n', b'data: {"email": "[masked]"}\n\n'),
        ("application/x-www-form-urlencoded", b"a=1&email=x", b"a=1&email=%5Bmasked%5D"),
    ],
)  # fmt: skip
def test_read_as_what_it_is(media: str, text: bytes, shown: bytes) -> None:
    """Whatever it is called, what is JSON is read as JSON."""
    reader = made(media)
    assert whole(reader, text) == shown
    assert reader.changed


@pytest.mark.parametrize(
    ("media", "text"),
    [
        ("text/plain", b"email: x"),
        ("text/html", b"<p>x</p>"),
        ("text/javascript", b'callback({"email": "x"})'),
        ("application/xml", b"<email>x</email>"),
        ("text/plain", b")]}',\n{}"),
        ("application/json", b'\xef\xbb\xbf{"email": "x"}'),
        ("application/json", '{"email": "x"}'.encode("utf-16")),
        ("application/json; charset=utf-16", b"{}"),
        ("application/octet-stream", b'{"email": "x"}'),
        ("application/protobuf", b"x"),
        ("image/png", b"x"),
        ("multipart/form-data; boundary=x", b"x"),
    ],
)
def test_what_cannot_be_masked_does_not_pass(media: str, text: bytes) -> None:
    """Where fields are tagged."""
    with pytest.raises(ResourceError) as caught:
        whole(made(media), text)
    assert caught.value.code == "resource.binary"


def test_binary_passes_where_it_may() -> None:
    """By the operator's word, or where nothing is tagged or searched."""
    assert whole(made("image/png", binary=True), b"\x89PNG") == b"\x89PNG"
    assert whole(made("text/html", binary=True), b"mail bob@example.org!").startswith(b"mail [masked:email")
    assert body("image/png", "", look, None, tagged=False, binary=False) is None
    assert body("application/json", "", look, None, tagged=False, binary=False) is None


def test_text_without_tags_is_searched() -> None:
    """A page, a script, whatever is text."""
    for media in ("text/html", "text/plain; charset=UTF-8", "image/svg+xml", "application/javascript"):
        reader = made(media, tagged=False)
        assert b"4111" not in whole(reader, b"<p>4111 1111 1111 1111</p>")
        assert reader.changed == {"$": 1}


@pytest.mark.parametrize("coding", ["gzip", "br", "identity", "", "GZIP", "gzip, br"])
def test_packed(coding: str) -> None:
    """It is unpacked before it is read, and leaves plain."""
    text = json.dumps([{"email": "x", "n": number} for number in range(2000)]).encode()
    packed = text
    for name in coding.lower().split(", "):
        packed = gzip.compress(packed) if name == "gzip" else brotli.compress(packed) if name == "br" else packed
    assert whole(made("application/json", coding), packed) == text.replace(b'"x"', b'"[masked]"')
    plain = body("application/json", coding, look, None, tagged=False, binary=False)
    assert (plain is None and packed == text) or (plain is not None and whole(plain, packed) == text)


def test_unknown_codings() -> None:
    """Refused where there is something to read, unless binary may pass."""
    with pytest.raises(ResourceError) as caught:
        made("application/json", "compress")
    assert caught.value.code == "resource.coding"
    assert body("application/json", "compress", look, None, tagged=False, binary=False) is None


@given(
    st.sampled_from(["application/json", "text/csv", "text/event-stream", "text/plain", "application/x-ndjson"]),
    st.data(),
)
def test_pieces_make_no_difference(media: str, data: st.DataObject) -> None:
    """Any split gives the same, also in the middle of a value that is found."""
    texts = {
        "application/json": b'{"email": "x", "note": "call 415-555-2671 or bob@example.org"}',
        "text/csv": b'id,email,note\r\n1,"x,y","4111 1111 1111 1111"\r\n2,z,"a ""b"""\r\n',
        "text/event-stream": b'event: m\nid: 1\ndata: {"email":\ndata:  "x"}\n\n: hi\n\ndata: bob@example.org\r\n\r\n',
        "text/plain": b"bob@example.org " * 5 + b"nothing",
        "application/x-ndjson": b'{"email": 1}\n{"a": "123-45-6789"}',
    }
    text = texts[media]
    tagged = media != "text/plain"
    wanted = whole(made(media, tagged=tagged), text)
    reader = made(media, tagged=tagged)
    assert b"".join(map(reader.feed, data.draw(splits(text)))) + reader.end() == wanted
    assert not any(value in wanted for value in (b"bob@", b"4111", b"415-", b"123-45", b'"x'))


@given(st.sampled_from(["", "text/plain", "application/json", "text/csv", "text/event-stream"]), st.binary(max_size=60))
def test_garbage(media: str, text: bytes) -> None:
    """An error or an answer."""
    try:
        whole(made(media), text)
    except ResourceError:
        return


def test_what_has_fields() -> None:
    """So that a wire can say what may be tagged."""
    assert structured("application/json")
    assert structured("text/csv")
    assert not structured("text/html")
