"""Frames of WebSocket, however they come, and what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import AgentError, ResourceError
from tidegate.wire.websocket import BINARY, CLOSE, CONTINUATION, PING, TEXT, Frames, close, frame
from unit.wire.http_talking import cut

KEY = b"\x01\x02\x03\x04"


def masked(plain: bytes) -> bytes:
    """An agent's frame: a short one of a server's with a mask."""
    payload = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(plain[2:]))
    return plain[:1] + bytes((plain[1] | 0x80,)) + KEY + payload


def messages(pieces: list[bytes], *, agent: bool = False) -> list[tuple[int, bytes]]:
    """Whole messages and control frames, in order."""
    frames = Frames(AgentError if agent else ResourceError, masked=agent)
    found: list[tuple[int, bytes]] = []
    held = b""
    for piece in pieces:
        for part in frames.take(piece):
            if part.opcode >= CLOSE:
                found.append((part.opcode, part.payload))
                continue
            held += part.payload
            if part.last:
                found.append((part.opcode, held))
                held = b""
    return found


@given(st.lists(st.integers(1, 50), max_size=40), st.binary(max_size=100), st.sampled_from([0, 125, 126, 65535, 65536]))
def test_however_the_bytes_come(sizes: list[int], short: bytes, long: int) -> None:
    """Messages in one frame or several, with a ping in between, and the end."""
    said = frame(TEXT, short) + frame(BINARY, bytes(long), last=False) + frame(PING, b"p")
    said += frame(CONTINUATION, short) + close(1000, "bye")
    expected = [(TEXT, short), (PING, b"p"), (BINARY, bytes(long) + short), (CLOSE, b"\x03\xe8bye")]
    assert messages(cut(said, sizes)) == expected


@given(st.lists(st.integers(1, 9), max_size=40), st.binary(max_size=100))
def test_masks_are_taken_off(sizes: list[int], payload: bytes) -> None:
    """Wherever a frame is cut."""
    said = masked(frame(TEXT, payload)) + masked(frame(TEXT, payload[:50]))
    assert messages(cut(said, sizes), agent=True) == [(TEXT, payload), (TEXT, payload[:50])]


@pytest.mark.parametrize(
    "said",
    [
        b"\xc1\x00",
        b"\x83\x00",
        b"\x8b\x00",
        b"\x80\x00",
        b"\x81\x7e\x00\x01a",
        b"\x81\x7f" + bytes(7) + b"\x01a",
        b"\x81\x7f\x80" + bytes(7),
        b"\x09\x00",
        b"\x89\x7e\x00\x7e" + bytes(126),
        b"\x88\x01a",
        frame(TEXT, b"a", last=False) + frame(TEXT, b"b"),
    ],
)
def test_what_is_no_frame(said: bytes) -> None:
    """Is whose fault it is, whole or byte by byte."""
    for pieces in ([said], [said[at : at + 1] for at in range(len(said))]):
        with pytest.raises(ResourceError):
            messages(pieces)


def test_nothing_follows_the_end() -> None:
    """What a server says then is not heard, and an agent may not say any more."""
    assert messages([close(1000, "") + frame(TEXT, b"a"), b"more"]) == [(CLOSE, b"\x03\xe8")]
    with pytest.raises(AgentError):
        messages([masked(close(1000, "")) + masked(frame(TEXT, b"a"))], agent=True)


def test_who_masks() -> None:
    """An agent must, a server must not."""
    with pytest.raises(AgentError):
        messages([frame(TEXT, b"a")], agent=True)
    with pytest.raises(ResourceError):
        messages([masked(frame(TEXT, b"a"))])


def test_a_reason_is_cut_to_what_fits() -> None:
    """Between two letters."""
    said = close(1008, "é" * 100)
    assert len(said) == 2 + 2 + 122 and said[4:].decode() == "é" * 61


@given(st.binary(max_size=60))
def test_garbage_is_an_error(data: bytes) -> None:
    """And never a hang."""
    with contextlib.suppress(ResourceError):
        messages([data])
