"""Heads are read strictly: whatever readers have been found to differ on is refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError, ResourceError
from tidegate.wire.http_head import FIELDS, LONGEST, TARGET, Ending, answer_head, length, request_head


def head(*lines: str, first: str = "GET /a HTTP/1.1", host: str = "Host: a") -> bytes:
    """A request's head."""
    return "\r\n".join([first, *([host] if host else []), *lines]).encode("latin-1") + b"\r\n\r\n"


def test_a_head_is_read() -> None:
    """Names are found whatever their case, and leave as they were written."""
    found = request_head(head("X-One:  1 ", "Accept: a, b", "accept: c"))
    assert (found.method, found.target, found.minor) == (b"GET", b"/a", 1)
    assert found.fields[1] == (b"x-one", b"X-One", b"1")
    assert list(found.members(b"accept")) == [b"a", b"b", b"c"]
    assert found.get(b"none") is None


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n" + head(),
        head("X : 1"),
        head("X: 1", " folded"),
        head("\tX: 1"),
        head("X: a\x00b"),
        head("X: a\x01b"),
        head("X: a\x7fb"),
        head("X\x0b: 1"),
        head("no colon"),
        head(": no name"),
        head("X: 1").replace(b"X: 1\r\n", b"X: 1\n"),
        head("X: 1").replace(b"X: 1\r\n", b"X: 1\r"),
        head("X: a\rb"),
        head("Host: b"),
        head("Host: a"),
        head(host=""),
        head(host="Host: "),
        head(host="Host: a b"),
        head(host="Host: a@b"),
        head(host="Host: a/b"),
        head(host="Host: a:b"),
        head("Authorization: Bearer a", "Authorization: Bearer b"),
        head("Content-Length: 1", "Content-Length: 1"),
        head("Content-Type: a/b", "content-type: c/d"),
        head(first="GET  /a HTTP/1.1"),
        head(first="GET /a b HTTP/1.1"),
        head(first="GET /a\tb HTTP/1.1"),
        head(first="GET /\xe9 HTTP/1.1"),
        head(first="GET /a#b HTTP/1.1"),
        head(first="GET /a"),
        head(first="GET /a HTTP/0.9"),
        head(first="GET /a HTTP/1.2"),
        head(first="GET /a HTTP/11"),
        head(first="GET /a http/1.1"),
        head(first="G{T /a HTTP/1.1"),
        head(first=" GET /a HTTP/1.1"),
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_a_head_that_readers_differ_on_is_refused(data: bytes) -> None:
    """Each could be the beginning of a smuggled request."""
    with pytest.raises(AgentError):
        request_head(data)


@pytest.mark.parametrize(
    "lines",
    [
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: identity, chunked",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked,",),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding:",),
        ("Transfer-Encoding: \x0bchunked",),
        ('Transfer-Encoding: "chunked"',),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Content-Length: +3",),
        ("Content-Length: -3",),
        ("Content-Length: 3, 3",),
        ("Content-Length: 0x3",),
        ("Content-Length: 3 3",),
        ("Content-Length: 3_0",),
        ("Content-Length:",),
        ("Content-Length: 9999999999999999",),
    ],
)
def test_a_length_that_readers_differ_on_is_refused(lines: tuple[str, ...]) -> None:
    """In either direction."""
    with pytest.raises(AgentError):
        length(request_head(head(*lines, first="POST /a HTTP/1.1")), AgentError)
    with pytest.raises(ResourceError):
        length(answer_head(head(*lines, first="HTTP/1.1 200 OK", host="")), ResourceError)


def test_an_older_version_has_no_chunks() -> None:
    """HTTP/1.0 does not know them."""
    with pytest.raises(AgentError):
        length(request_head(head("Transfer-Encoding: chunked", first="POST / HTTP/1.0")), AgentError)


def test_lengths() -> None:
    """In bytes, in chunks, or not said."""
    assert length(request_head(head("Content-Length: 12")), AgentError) == 12
    assert length(request_head(head("transfer-encoding: Chunked")), AgentError) == -1
    assert length(request_head(head()), AgentError) is None


def test_limits() -> None:
    """Each with a code of its own, by which the agent is told the right status."""
    for data, code in (
        (head(first=f"GET /{'a' * TARGET} HTTP/1.1"), "http.target"),
        (head(*(f"X-{n}: 1" for n in range(FIELDS))), "http.fields"),
        (b"PRI * HTTP/2.0\r\n\r\n", "http.version"),
    ):
        with pytest.raises(AgentError) as caught:
            request_head(data)
        assert caught.value.code == code


@pytest.mark.parametrize(
    "first",
    ["HTTP/1.1 200", "HTTP/1.1 200 OK", "HTTP/1.0 404 Not Found", "HTTP/1.1 599 \xe9"],
)
def test_answers(first: str) -> None:
    """With a reason or without."""
    assert answer_head(head("X: 1", first=first, host="")).status == int(first[9:12])


@pytest.mark.parametrize(
    "data",
    [
        head(first="HTTP/1.1 099 x", host=""),
        head(first="HTTP/1.1 600 x", host=""),
        head(first="HTTP/1.1 20 x", host=""),
        head(first="HTTP/1.1 2000", host=""),
        head(first="HTTP/2.0 200 OK", host=""),
        head(first="HTTP/1.1  200 OK", host=""),
        head(first="ICY 200 OK", host=""),
        head("X: 1", " folded", first="HTTP/1.1 200 OK", host=""),
        head("X: a\nSet-Cookie: b", first="HTTP/1.1 200 OK", host=""),
        head("Location: /a", "Location: /b", first="HTTP/1.1 302 Found", host=""),
    ],
)
def test_an_answer_that_readers_differ_on_is_refused(data: bytes) -> None:
    """It could be split into two."""
    with pytest.raises(ResourceError):
        answer_head(data)


@given(st.lists(st.binary(max_size=5), max_size=20))
def test_the_end_is_found_however_the_bytes_come(pieces: list[bytes]) -> None:
    """And no earlier."""
    data, buffer, ending, found = b"".join(pieces) + b"\r\n\r\nrest", bytearray(), Ending(), 0
    for piece in [*pieces, b"\r\n\r\nrest"]:
        buffer += piece
        found = ending.find(buffer)
        if found:
            break
    assert data[:found].endswith(b"\r\n\r\n") and data[:found].find(b"\r\n\r\n") == found - 4


@given(st.binary(max_size=200))
def test_garbage_is_an_error(data: bytes) -> None:
    """And nothing else."""
    for read, fault in ((request_head, AgentError), (answer_head, ResourceError)):
        with contextlib.suppress(fault):
            read(data + b"\r\n\r\n")
    assert LONGEST > TARGET
