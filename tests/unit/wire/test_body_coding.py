"""Codings are undone within limits."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pieces import splits
from tidegate.errors import ResourceError
from tidegate.wire.body_coding import FREE, STEP, Decoder, decoder

PACK = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def undone(coding: str, parts: list[bytes]) -> bytes:
    """All of it."""
    unpack = decoder(coding, binary=False)
    assert unpack is not None
    out = b"".join(piece for part in parts for piece in unpack.feed(part))
    unpack.end()
    return out


@given(st.sampled_from(sorted(PACK)), st.binary(max_size=300), st.data())
def test_undone_in_any_pieces(coding: str, text: bytes, data: st.DataObject) -> None:
    """Each coding, and one over another."""
    packed = PACK[coding](text)
    assert undone(coding, data.draw(splits(packed))) == text
    assert undone(f"{coding}, gzip", data.draw(splits(gzip.compress(packed)))) == text


def test_forms_of_gzip_and_deflate() -> None:
    """Several members, and the bare form that some servers mean."""
    assert undone("gzip", [gzip.compress(b"a") + gzip.compress(b"b")]) == b"ab"
    bare = zlib.compressobj(wbits=-15)
    assert undone("deflate", [bare.compress(b"abc") + bare.flush()]) == b"abc"


@pytest.mark.parametrize("coding", sorted(PACK))
def test_what_is_not_whole_is_an_error(coding: str) -> None:
    """Cut, followed by something else, or nothing of the kind."""
    packed = PACK[coding](b"hello" * 100)
    for wrong in (packed[:-3], b"no such thing", packed + b"rest"):
        with pytest.raises(ResourceError) as caught:
            undone(coding, [wrong])
        assert caught.value.code == "resource.coding"
    assert undone(coding, [b""]) == b""


@pytest.mark.parametrize("coding", sorted(PACK))
def test_bombs_end(coding: str) -> None:
    """What grows a thousand times is not unpacked to its end; and no piece is large meanwhile."""
    packed = PACK[coding](bytes(64 * FREE))
    unpack = decoder(coding, binary=False)
    assert unpack is not None
    given_ = 0
    with pytest.raises(ResourceError, match="far more"):
        for piece in _fed(unpack, packed):
            given_ += len(piece)
            assert len(piece) <= max(STEP, 8 * FREE)
    assert given_ < 16 * FREE


def _fed(unpack: Decoder, packed: bytes) -> list[bytes]:
    return [piece for at in range(0, len(packed), 512) for piece in unpack.feed(packed[at : at + 512])]


def test_what_is_known() -> None:
    """None of nothing; an error for others, or nothing where they may pass."""
    assert decoder("", binary=False) is None
    assert decoder("identity", binary=False) is None
    assert decoder("compress", binary=True) is None
    for unknown in ("compress", "gzip, x", "gzip,gzip,gzip,gzip"):
        with pytest.raises(ResourceError):
            decoder(unknown, binary=False)
