"""Bodies end where they say, however their bytes come."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError, ResourceError
from tidegate.wire.http_framing import Chunked, Counted, Endless, Framing, chunk
from unit.wire.http_talking import cut

SIZES = st.lists(st.integers(1, 9), max_size=30)


def read(framing: Framing, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The body and what follows it."""
    body, rest = b"", b""
    for piece in pieces:
        if framing.over:
            rest += piece
            continue
        payload, rest = framing.take(piece)
        body += payload
    return body, rest


@given(SIZES, st.lists(st.binary(min_size=1, max_size=40), max_size=5))
def test_chunks_however_cut(sizes: list[int], parts: list[bytes]) -> None:
    """Extensions and trailers are dropped; what follows is left."""
    said = b"".join(b"%X ;a=b\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nX: y\r\n\r\nnext"
    framing = Chunked(AgentError)
    assert read(framing, cut(said, sizes)) == (b"".join(parts), b"next")
    assert framing.over


@given(SIZES, st.binary(max_size=40))
def test_counted_however_cut(sizes: list[int], body: bytes) -> None:
    """What follows is left."""
    framing = Counted(len(body))
    assert read(framing, cut(body + b"next", sizes)) == (body, b"next")
    assert framing.over and framing.left == 0


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n",
        b"\n",
        b"g\r\n",
        b"0x3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"-1\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"3\nabc\r\n",
        b"3;\nabc\r\n",
        b"3\rabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabcXY0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3;" + b"a" * 300 + b"\r\n",
        b"3" * 300,
        b"ffffffffffffffff\r\n",
        b"0\r\nno field\r\n\r\n",
        b"0\r\n X: folded\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\n" + b"X: 1\r\n" * 2000,
    ],
)
def test_chunks_that_readers_differ_on(said: bytes) -> None:
    """Are nobody's, whoever sent them and however they were cut."""
    for fault in (AgentError, ResourceError):
        with pytest.raises(fault):
            read(Chunked(fault), [said])
        with pytest.raises(fault):
            read(Chunked(fault), [said[at : at + 1] for at in range(len(said))])


def test_an_endless_body_takes_all() -> None:
    """Until the connection ends."""
    framing = Endless()
    assert framing.take(b"abc") == (b"abc", b"") and not framing.over and framing.left < 0


def test_no_data_is_no_chunk() -> None:
    """It would be the last one."""
    assert chunk(b"") == b"" and chunk(b"abc") == b"3\r\nabc\r\n"


@given(st.binary(max_size=100))
def test_garbage_is_an_error(data: bytes) -> None:
    """And never a hang."""
    with contextlib.suppress(ResourceError):
        read(Chunked(ResourceError), [data])
