"""Taking the chunks of a recording apart."""

from __future__ import annotations

from tidegate.recording.frame import FRAME_HEADER, FrameHeader, peek


def split(chunk: bytes) -> tuple[bytes, FrameHeader, bytes]:
    """File header (empty unless it is a track's first), frame header, body."""
    _, _, _, head = peek(chunk)
    start = head - FRAME_HEADER.size
    return chunk[:start], FrameHeader.unpack(chunk[start:head]), chunk[head:]
