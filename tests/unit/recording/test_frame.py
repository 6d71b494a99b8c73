"""The byte layout: the specification's vector, and laws of the pieces."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from chunks import split
from tidegate.clock import SystemClock
from tidegate.errors import IntegrityError
from tidegate.recording import frame
from tidegate.recording.writer import Recorder

from .conftest import KEYS

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "recording.md"
SID = uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


@dataclass
class Scripted:
    """The vector's clock: t0, m0, and seven microseconds later."""

    ticks: list[int] = field(default_factory=lambda: [5_000_000, 5_000_007])

    def now(self) -> int:
        """t0."""
        return 1_645_557_742_000_000

    def monotonic(self) -> int:
        """The next tick."""
        return self.ticks.pop(0)

    def session_id(self) -> uuid.UUID:
        """The vector's."""
        return SID

    def name(self, prefix: str) -> str:
        """Not asked for."""
        return SystemClock().name(prefix)


def vector() -> bytes:
    """The chunk of the specification's section 7, written by the recorder."""
    chunks: list[bytes] = []
    recorder = Recorder(SID, header={}, keys=KEYS, write=lambda chunk, _: chunks.append(chunk), clock=Scripted())
    recorder.request(b"SELECT 1", b"")
    recorder.flush()
    return chunks[0]


def test_the_vector_of_the_specification() -> None:
    """The recorder writes exactly the bytes that docs/spec/recording.md prints."""
    printed = SPEC.read_text().split("```")[-2]
    assert vector() == bytes.fromhex("".join(printed.split()))


@given(st.binary(max_size=3000))
def test_sealing_can_be_undone(plain: bytes) -> None:
    """Compress, seal, split, open gives the plain bytes."""
    codec, body = frame.compress(plain)
    header = frame.FrameHeader(3, 70, len(plain), len(body) + frame.TAG, 1, 2, codec, 1, SID, 1)
    preamble, found, stored = split(frame.seal(ChaCha20Poly1305(bytes(32)), header.pack(), header.seq, body))
    assert (preamble, found) == (b"", header)
    assert frame.open_sealed(bytes(32), preamble, found, stored) == plain


def test_a_length_that_lies_is_found() -> None:
    """A header whose plain length is not that of the body is an error even when the tag holds."""
    for plain in (b"x" * 10, b"x" * 1000):
        codec, body = frame.compress(plain)
        header = frame.FrameHeader(0, 0, len(plain) + 1, len(body) + frame.TAG, 0, 0, codec, 1, SID, 0)
        _, found, stored = split(frame.seal(ChaCha20Poly1305(bytes(32)), header.pack(), header.seq, body))
        with pytest.raises(IntegrityError, match="frame 0"):
            frame.open_sealed(bytes(32), b"", found, stored)


@pytest.mark.parametrize("at, value", [(40, 2), (41, 0), (60, 2), (61, 1), (16, 0x7F), (20, 0x7F)])
def test_impossible_headers_are_refused(at: int, value: int) -> None:
    """Codec, encryption, track, padding and lengths have to be possible before anything is read by them."""
    chunk = bytearray(vector()[-frame.FRAME_HEADER.size - 24 - frame.TAG :])
    assert frame.FrameHeader.unpack(bytes(chunk)).seq == 0
    chunk[at] = value
    with pytest.raises(IntegrityError, match="header"):
        frame.FrameHeader.unpack(bytes(chunk))


def test_a_large_header_is_refused() -> None:
    """A file header's JSON has a limit that every reader can rely on."""
    with pytest.raises(ValueError, match="at most"):
        frame.FileHeader(SID, 0, 0, bytes(16), {"x": "y" * 20_000}).pack()
