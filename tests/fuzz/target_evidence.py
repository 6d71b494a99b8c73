"""What an auditor's copy may hold: leaves, checkpoints, bundles, log records, frames of recordings.

Input: bytes, read as each of these. Readers raise their own errors only, and the gateway and the offline verifier,
which share no code, accept the same leaves and the same records.
"""

from __future__ import annotations

from contextlib import suppress

from tidegate.audit import scan, verify
from tidegate.audit.entry import decode, encode
from tidegate.errors import IntegrityError
from tidegate.recording.frame import FileHeader, FrameHeader, peek


def _leaf(data: bytes) -> None:
    try:
        leaf = verify.read_entry(data)
    except verify.Fault:
        return
    assert decode(data) == leaf, "gateway and verifier read another leaf"
    assert encode(leaf) == data, "the verifier takes a leaf that the gateway would write otherwise"


def _written(data: bytes) -> None:
    """What the gateway would write of this leaf, the verifier accepts."""
    try:
        entry = encode(decode(data))
    except ValueError:
        return
    assert verify.read_entry(entry) == decode(entry)


def _record(data: bytes) -> None:
    ours, theirs = scan.read_record(data, 0), verify._record(data, 0)
    assert (ours is None) is (theirs is None), "gateway and verifier disagree whether a record is valid"
    if ours is not None and theirs is not None:
        assert (ours.kind, ours.number, ours.payload, ours.digest, ours.size) == theirs


def target(data: bytes) -> None:
    """One run of bytes, read in every way."""
    _leaf(data)
    _written(data)
    _record(data)
    with suppress(verify.Fault):
        found = verify.read_checkpoint(data)
        assert data.decode().startswith(found.text)
    assert sum(len(entry) + 2 for entry in verify._unbundle(data)) <= len(data)
    verify._frame_at(data, 0)
    for read in (FileHeader.unpack, FrameHeader.unpack, peek):
        with suppress(IntegrityError):
            read(data)
