"""JSON is masked by path while it streams, and is otherwise the very bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pieces import splits
from tidegate.errors import ResourceError
from tidegate.model.operation import Transform
from tidegate.wire.body_json import DEPTH, KEPT, LONGEST, JsonBody

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "é\n", "email", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


def mask(_: bytes) -> bytes | None:
    return b"[masked]"


class Scan:
    """Finds the word secret."""

    def suspicious(self, block: bytes) -> bool:
        return b"secret" in block

    def __call__(self, value: bytes) -> bytes:
        return value.replace(b"secret", b"[found]") if b"secret" in value else value


SCAN = Scan()


def by(*paths: str) -> Callable[[str], Transform | None]:
    """Masks for these paths."""
    return lambda path: mask if path in paths else None


def masked(body: JsonBody, *parts: bytes) -> bytes:
    return b"".join(map(body.feed, parts)) + body.end()


def expected(value: Any, path: str, paths: tuple[str, ...]) -> Any:
    """The same by the whole document."""
    if isinstance(value, dict):
        return {name: expected(inner, f"{path}.{name}", paths) for name, inner in value.items()}
    if isinstance(value, list):
        return [expected(inner, f"{path}[*]", paths) for inner in value]
    if path not in paths or value is None:
        return value
    return "[masked]" if isinstance(value, str) else None


@given(JSON, st.sampled_from([None, 1]), st.data())
def test_any_document_in_any_pieces(value: Any, indent: int | None, data: st.DataObject) -> None:
    """Only the tagged leaves change, however the bytes are cut; without tags nothing does."""
    text = json.dumps(value, indent=indent, ensure_ascii=data.draw(st.booleans())).encode()
    parts = data.draw(splits(text))
    assert masked(JsonBody(by(), None), *parts) == text
    paths = ("$", "$.a", "$[*].email", "$.b[*]", "$.a.a", "$.é\n")
    found = masked(JsonBody(by(*paths), None), *parts)
    assert json.loads(found) == expected(value, "$", paths)
    assert found == masked(JsonBody(by(*paths), None), text)


@given(st.binary(max_size=30), st.data())
def test_garbage_is_an_error_or_json(text: bytes, data: st.DataObject) -> None:
    """What passes whole is JSON for others too, and nothing hangs."""
    try:
        said = masked(JsonBody(by(), None), *data.draw(splits(text)))
    except ResourceError:
        return
    assert said == text
    json.loads(text.decode("utf-8", "replace"), strict=False)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[1", b'"a', b"{]", b"[}", b"[1,]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"[1 2]", b"1 2",
        b"01",
        b"+1", b"1.", b".5", b"tru", b"nul", b"NaN", b"Infinity", b"'a'", b'"\\x"', b'"\\u12"', b"[1]]",
        b"{1:2}",
        b'{"a":1 "b":2}', b"\xef\xbb\xbf{}", b"/* */ 1", b"1e", b"-", b"[" * (DEPTH + 1), b"//", b"\x00",
    ],
)  # fmt: skip
def test_what_is_no_json_is_an_error(text: bytes) -> None:
    """With a mask or without, at once or byte by byte."""
    for parts in ([text], [text[at : at + 1] for at in range(len(text))]):
        with pytest.raises(ResourceError):
            masked(JsonBody(by("$.a"), None), *parts)


def test_what_is_wrong_comes_before_what_is_secret() -> None:
    """No clear value passes behind a fault."""
    body = JsonBody(by("$.a"), None)
    said = b""
    with pytest.raises(ResourceError):
        said += body.feed(b'{"b": 1, } "a": "clear"}')
    assert b"clear" not in said


def test_leaves_keep_their_type_where_they_can() -> None:
    """A string becomes a mask, a number or a truth null, and null stays."""
    text = b'{"a": "x", "b": 1, "c": true, "d": null, "e": [1, "y"], "f": {"g": 2}}'
    look: Callable[[str], Transform] = lambda _: mask  # noqa: E731
    assert masked(JsonBody(look, None), text) == (
        b'{"a": "[masked]", "b": null, "c": null, "d": null, "e": [null, "[masked]"], "f": {"g": null}}'
    )


def test_escapes_hide_nothing() -> None:
    """Names and values are compared by what they stand for."""
    body = JsonBody(by("$.email"), None)
    assert masked(body, b'{"\\u0065mail": "x", "Email": "y"}') == b'{"\\u0065mail": "[masked]", "Email": "y"}'
    assert body.changed == {"$.email": 1}
    found = JsonBody(lambda _: SCAN, SCAN)
    assert json.loads(masked(found, b'{"a": "\\u0073ecret", "secret": 1}')) == {"a": "[found]", "[found]": 1}
    assert found.changed == {"$.a": 1, "$.secret": 1}


def test_a_mask_that_has_quotes_is_written_as_a_string() -> None:
    """Whatever a transform gives, the document stays one."""
    assert json.loads(masked(JsonBody(lambda _: lambda _: b'"\\\n', None), b'["x"]')) == ['"\\\n']


def test_twice_the_same_name() -> None:
    """Both values are masked: who reads the document may take either."""
    assert b"clear" not in masked(JsonBody(by("$.a"), None), b'{"a": "clear1", "a": "clear2"}')


def test_several_documents() -> None:
    """Lines of JSON, each masked by itself; one document must be one."""
    text = b'{"a": "x"}\n{"a": "y"}\n\n"z"\n'
    assert masked(JsonBody(by("$.a"), None, several=True), text) == b'{"a": "[masked]"}\n{"a": "[masked]"}\n\n"z"\n'
    first = JsonBody(by("$.a"), None, several=True)
    assert first.feed(b'{"a": "x"}\n{"a"') == b'{"a": "[masked]"}\n{"a"'
    with pytest.raises(ResourceError):
        masked(JsonBody(by("$.a"), None), text)
    with pytest.raises(ResourceError):
        masked(JsonBody(by(), None, several=True), b'{"a": 1}\n{"a"')


@pytest.mark.parametrize("step", [1000, 65536])
def test_a_long_string_is_not_held(step: int) -> None:
    """It is hidden whole, searched in pieces, or passed, and little is kept of it."""
    long = b"x" * LONGEST + b"secret" + b"y" * LONGEST
    text = b'{"a": "' + long + b'", "b": "secret"}'
    for look, scan, wanted in (
        (by("$.a"), None, b'{"a": "[masked]", "b": "secret"}'),
        (by(), None, text),
        (lambda _: SCAN, SCAN, text.replace(b"secret", b"[found]")),
    ):
        body = JsonBody(look, scan)
        said = b""
        for at in range(0, len(text), step):
            said += body.feed(text[at : at + step])
            assert len(body._buffer) <= LONGEST + step
        assert said + body.end() == wanted


def test_names_of_any_number() -> None:
    """A document with ever new names costs no memory for each."""
    body = JsonBody(by(), None)
    text = json.dumps({f"n{number}": number for number in range(10_000)}).encode()
    assert masked(body, text) == text
    assert len(body._node.names) <= KEPT
