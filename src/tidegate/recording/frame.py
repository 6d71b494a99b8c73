"""Frames of TGREC v1: the byte layout, compression and sealing, shared by writer, shelf and reader.

A track is a file header with a JSON object, then frames, then a trailer frame. A *chunk* is what is written at once:
one frame, and before the first frame of a track also the file header. So a file is its chunks one after the other, and
recovery rebuilds files from the chunks in the write-ahead log without a key.

Invariants: the header of a frame names its session, track and sequence number; what stands before the body is bound to
it as associated data; a key never seals two frames with one sequence number. See docs/spec/recording.md.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import orjson
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tidegate.errors import IntegrityError
from tidegate.model.event import Json

TRACKS: Mapping[str, int] = MappingProxyType({"agent": 0, "upstream": 1})
"""Track names and their numbers in a frame header."""

_NUMBERS = frozenset(TRACKS.values())

PLAIN_LIMIT = 128 * 1024
"""Most plain bytes in a frame."""

TRAILER = 0xFFFF_FFFF
"""Sequence number of the trailer frame."""

FILE_MAGIC, FRAME_MAGIC = b"TGREC\r\n\x01", b"TGFR"
FILE_HEADER = struct.Struct(">8sHHI16sQQ16s")
FRAME_HEADER = struct.Struct(">4sIQIIQQBBH16sB3x")
RECORD_HEADER = struct.Struct(">BBHIQ")
REFERENCE = struct.Struct(">QI")
REDACTION = struct.Struct(">32sIB")

TAG = 16
STORED_LIMIT = PLAIN_LIMIT + TAG
JSON_LIMIT = 16 * 1024
_COMPRESS_ABOVE = 512
_BULK = PLAIN_LIMIT // 2
_COMPRESSOR = zstandard.ZstdCompressor(level=1, write_checksum=True)
_QUICK = zstandard.ZstdCompressor(level=-3, write_checksum=True)
_VERSION, _ENCRYPTED = 1, 1
_LEAF = hashlib.sha256(b"\x00")  # copied: half the price of a fresh one


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What a file says about itself; ``started`` is Unix microseconds, ``origin`` the monotonic clock at that time."""

    sid: uuid.UUID
    started: int
    origin: int
    key_id: bytes
    fields: Mapping[str, Json]

    def pack(self) -> bytes:
        """The 64 bytes and the JSON after them. Raises ValueError when the JSON is over 16 KiB."""
        text = orjson.dumps(dict(self.fields), option=orjson.OPT_SORT_KEYS)
        if len(text) > JSON_LIMIT:
            raise ValueError(f"header of a recording is {len(text)} bytes, at most {JSON_LIMIT} fit")
        fixed = (FILE_MAGIC, _VERSION, _ENCRYPTED, len(text), self.sid.bytes, self.started, self.origin, self.key_id)
        return FILE_HEADER.pack(*fixed) + text

    @classmethod
    def unpack(cls, data: bytes) -> tuple[FileHeader, int]:
        """The header at the start of ``data`` and its length. Raises IntegrityError when there is none."""
        if len(data) < FILE_HEADER.size:
            raise broken("file header", "is cut short")
        magic, version, flags, size, sid, started, origin, key_id = FILE_HEADER.unpack_from(data)
        if (magic, version, flags) != (FILE_MAGIC, _VERSION, _ENCRYPTED) or size > JSON_LIMIT:
            raise broken("file header", "is not one of TGREC version 1")
        end = FILE_HEADER.size + size
        try:
            fields = orjson.loads(data[FILE_HEADER.size : end])
        except orjson.JSONDecodeError as error:
            raise broken("file header", "does not hold JSON") from error
        if len(data) < end or not isinstance(fields, dict):
            raise broken("file header", "is cut short")
        return cls(uuid.UUID(bytes=sid), started, origin, key_id, fields), end


def frame_header(
    seq: int, off: int, size: int, stored: int, first: int, last: int, codec: int, records: int, sid: bytes, track: int
) -> bytes:
    """The 64 bytes of ``FrameHeader``, whose fields these are."""
    return FRAME_HEADER.pack(FRAME_MAGIC, seq, off, size, stored, first, last, codec, 1, records, sid, track)


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The 64 bytes before a body; offsets count plain bytes of the track, times are microseconds since ``started``."""

    seq: int
    plain_off: int
    plain_len: int
    stored_len: int
    first: int
    last: int
    codec: int
    records: int
    sid: uuid.UUID
    track: int

    @property
    def name(self) -> str:
        """For messages."""
        return "trailer" if self.seq == TRAILER else f"frame {self.seq}"

    def pack(self) -> bytes:
        """The 64 bytes."""
        place = (self.seq, self.plain_off, self.plain_len, self.stored_len, self.first, self.last)
        return frame_header(*place, self.codec, self.records, self.sid.bytes, self.track)

    @classmethod
    def unpack(cls, data: bytes, what: str = "frame") -> FrameHeader:
        """The header at the start of ``data``. Raises IntegrityError naming ``what`` when there is none."""
        if len(data) < FRAME_HEADER.size:
            raise broken(what, "is cut short")
        magic, seq, off, size, stored, first, last, codec, sealed, records, sid, track = FRAME_HEADER.unpack_from(data)
        header = cls(seq, off, size, stored, first, last, codec, records, uuid.UUID(bytes=sid), track)
        if magic != FRAME_MAGIC or sealed != 1 or header.pack() != data[: FRAME_HEADER.size]:
            raise broken(what, "has a header that is not one of TGREC version 1")
        if codec > 1 or track not in TRACKS.values() or header.plain_len > PLAIN_LIMIT:
            raise broken(what, "has a header with values that cannot be")
        if not TAG <= header.stored_len <= STORED_LIMIT:
            raise broken(what, "has a header with values that cannot be")
        return header


def peek(chunk: bytes) -> tuple[bytes, int, int, int]:
    """Session (16 bytes), track, sequence number of a chunk, and where its body starts. Raises IntegrityError."""
    start = FileHeader.unpack(chunk)[1] if chunk.startswith(FILE_MAGIC) else 0
    head = start + FRAME_HEADER.size
    if len(chunk) < head:
        raise broken("frame", "is cut short")
    magic, seq, _, _, stored, _, _, _, _, _, sid, track = FRAME_HEADER.unpack_from(chunk, start)
    if magic != FRAME_MAGIC or track not in _NUMBERS:
        raise broken("frame", "has a header that is not one of TGREC version 1")
    if len(chunk) - head != stored:
        raise broken(f"frame {seq}", f"has {len(chunk) - head} bytes where its header says {stored}")
    return sid, track, seq, head


def compress(plain: bytes | bytearray) -> tuple[int, bytes]:
    """Codec and body: zstd (checksum) when there is enough to gain by it, the bytes themselves otherwise.

    What fills frames is packed quickly rather than tightly, since it comes as fast as the disk can take it. Not for
    several threads at a time: they share the compressors, which hold a megabyte.
    """
    if len(plain) > _COMPRESS_ABOVE:
        packed = (_QUICK if len(plain) > _BULK else _COMPRESSOR).compress(plain)
        if len(packed) < len(plain):
            return 1, packed
    return 0, bytes(plain)


def seal(cipher: ChaCha20Poly1305, head: bytes, seq: int, body: bytes) -> bytes:
    """The chunk of a frame: ChaCha20-Poly1305 (RFC 8439), everything before the body (``head``) as associated data."""
    return head + cipher.encrypt(_nonce(seq), body, head)


def open_sealed(key: bytes, preamble: bytes, header: FrameHeader, stored: bytes) -> bytes:
    """The plain bytes of a frame. Raises IntegrityError naming the frame when a byte of it was changed."""
    try:
        body = ChaCha20Poly1305(key).decrypt(_nonce(header.seq), stored, preamble + header.pack())
        plain = _expand(body, header.plain_len) if header.codec else body
    except (InvalidTag, zstandard.ZstdError) as error:
        raise broken(header.name, "was changed after it was written") from error
    if len(plain) != header.plain_len:
        raise broken(header.name, "does not hold as many bytes as its header says")
    return plain


def frame_hash(chunk: bytes) -> bytes:
    """Leaf hash of a chunk in the track's tree (RFC 6962 section 2.1)."""
    digest = _LEAF.copy()
    digest.update(chunk)
    return digest.digest()


def key_id(key: bytes) -> bytes:
    """16 bytes that name a frame key and say nothing about it."""
    return HKDF(SHA256(), 16, None, b"rec/key-id").derive(key)


def redaction_hash(key: bytes, offset: int, data: bytes) -> bytes:
    """Commitment to a secret that is not stored: the salt follows from the frame key and the record's plain offset."""
    salt = HKDF(SHA256(), 32, None, b"rec/redacted/" + offset.to_bytes(8, "big")).derive(key)
    return hashlib.sha256(salt + data).digest()


def broken(what: str, happened: str) -> IntegrityError:
    """The error about ``what`` (a frame, the file header) of a recording."""
    return IntegrityError(
        f"recording: {what} {happened}",
        hint="Keep the file as it is and compare it with a backup or the object store's copy.",
        code="recording.broken",
    )


def _expand(body: bytes, size: int) -> bytes:
    if zstandard.frame_content_size(body) != size:
        raise zstandard.ZstdError("content size differs")
    return zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)


def _nonce(seq: int) -> bytes:
    return bytes(4) + seq.to_bytes(8, "big")
