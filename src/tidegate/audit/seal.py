"""Openings: what a leaf only commits to, sealed under keys of its session.

A leaf holds SHA-256(salt || plaintext) per compartment; salt and plaintext lie outside the log, in the sealed store.
Each session has two data encryption keys, wrapped once with age: ``agent`` (openings, and the recording as the agent
saw it) to replay service and auditors, ``upstream`` (the recording before masks) to auditors only. Every salt and key
of one opening is derived for it alone, so that one can be disclosed or erased without its siblings. Invariant: a data
encryption key never outlives the process that made it, hence no derived key meets two plaintexts.
"""

from __future__ import annotations

import hmac
import os
import struct
import uuid
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tidegate.errors import ConfigError, IntegrityError

from .files import sync_directory, write_file

COMPARTMENTS = frozenset({"who", "net", "stmt", "why", "dec"})
TRACKS = ("agent", "upstream")
MAGIC = b"TGSO"
VERSION = 2
HEADER = struct.Struct(">4sBBH16sQI")
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Recipients:
    """Age X25519 recipients: who may replay what agents saw, and who may open everything."""

    replay: tuple[str, ...]
    auditors: tuple[str, ...]

    def of(self, track: str) -> list[pyrage.x25519.Recipient]:
        """Who opens the key of ``track``. Raises ConfigError when nobody could, or a recipient is malformed."""
        if not self.auditors:
            raise ConfigError(
                "There is no auditor recipient.", hint="Name at least one age recipient that may open the evidence."
            )
        names = self.auditors + (self.replay if track == "agent" else ())
        try:
            return [pyrage.x25519.Recipient.from_str(name) for name in dict.fromkeys(names)]
        except pyrage.RecipientError:
            raise ConfigError("A recipient is not an age X25519 recipient.", hint="It begins with `age1`.") from None


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """Where an opening belongs, and its ciphertext."""

    sid: uuid.UUID
    index: int
    compartment: str
    header: bytes
    body: bytes


def seal_header(sid: bytes, index: int, compartment: str, size: int) -> bytes:
    """What precedes the ciphertext of ``size`` bytes, and is authenticated with it."""
    name = compartment.encode()
    return HEADER.pack(MAGIC, VERSION, len(name), 0, sid, index, size) + name


def read_record(data: bytes, at: int = 0) -> SealedRecord:
    """The sealed record at ``at``. Raises ValueError when there is none."""
    if len(data) - at < HEADER.size:
        raise ValueError("the sealed record is cut short")
    magic, version, length, zero, sid, index, size = HEADER.unpack_from(data, at)
    start = at + HEADER.size + length
    if (magic, version, zero) != (MAGIC, VERSION, 0) or start + size > len(data):
        raise ValueError("there is no whole sealed record here")
    name = data[at + HEADER.size : start].decode("ascii")
    return SealedRecord(uuid.UUID(bytes=sid), index, name, data[at:start], data[start : start + size])


def session_of(record: bytes) -> bytes:
    """The session's UUID in a sealed record."""
    return record[8:24]


def _expand(pseudorandom: bytes, purpose: str) -> bytes:
    """One block of HKDF-Expand with SHA-256, RFC 5869 section 2.3."""
    return hmac.digest(pseudorandom, purpose.encode() + b"\x01", sha256)


def _extract(key: bytes) -> bytes:
    """HKDF-Extract with SHA-256 and no salt, RFC 5869 section 2.2."""
    return hmac.digest(bytes(32), key, sha256)


def _opening(pseudorandom: bytes, index: int, compartment: str) -> tuple[bytes, bytes]:
    """Salt and key of one opening: the halves of what BLAKE2b gives under the session's opening key (RFC 7693)."""
    block = blake2b(f"open/{index}/{compartment}".encode(), key=pseudorandom).digest()
    return block[:32], block[32:]


class Vault:
    """The keys of one living session; only the process that made them has them."""

    def __init__(self, sid: uuid.UUID, keys: dict[str, bytes]) -> None:
        self.sid = sid
        self._sid = sid.bytes
        self._keys = {track: _extract(key) for track, key in keys.items()}
        self._openings = _expand(self._keys["agent"], "openings")

    @classmethod
    def create(cls, directory: Path, sid: uuid.UUID, recipients: Recipients) -> Vault:
        """Fresh keys, their wrapped copies durable in ``directory``. Blocks; raises ConfigError and OSError."""
        keys = {track: os.urandom(32) for track in TRACKS}
        for track, key in keys.items():
            write_file(directory / f"{sid}.{track}.age", pyrage.encrypt(key, recipients.of(track)))
        sync_directory(directory)
        return cls(sid, keys)

    def commit(self, index: int, compartment: str, plaintext: bytes) -> tuple[bytes, bytes]:
        """The commitment for the leaf at ``index`` (32 bytes) and the sealed record for the store."""
        salt, key = _opening(self._openings, index, compartment)
        header = seal_header(self._sid, index, compartment, len(plaintext) + 16)
        return sha256(salt + plaintext).digest(), header + ChaCha20Poly1305(key).encrypt(_NONCE, plaintext, header)

    def frame_key(self, track: str) -> bytes:
        """The key of the frames of a recording's ``track``."""
        return _expand(self._keys[track], f"rec/{track}")


class OpenVault:
    """A session's keys, unwrapped by someone entitled, and its sealed records on disk."""

    def __init__(self, directory: Path, sid: uuid.UUID, keys: dict[str, bytes]) -> None:
        self.sid = sid
        self._directory = directory
        self._keys = {track: _extract(key) for track, key in keys.items()}
        self._openings = _expand(self._keys["agent"], "openings")
        self._places: dict[tuple[int, str], tuple[Path, int, int]] = {}

    def opening(self, index: int, compartment: str) -> tuple[bytes, bytes]:
        """Salt and plaintext as the store has them; compare with the leaf by ``check_opening``.

        Raises IntegrityError when the record is not there or does not open.
        """
        place = self._places.get((index, compartment))
        if place is None:
            self._places = self._look()
            place = self._places.get((index, compartment))
        if place is None:
            raise IntegrityError(
                f"The sealed store has no {compartment} for leaf {index}.", hint="It may have been erased."
            )
        path, at, size = place
        with path.open("rb") as file:
            return self._open(read_record(os.pread(file.fileno(), size, at)))

    def _look(self) -> dict[tuple[int, str], tuple[Path, int, int]]:
        """File, offset and size of every record, so that a thousand openings read the file once."""
        return {
            (index, compartment): (path, at, size)
            for path in self._directory.glob(f"sealed/*/{self.sid}.seal")
            for index, compartment, at, size in places(path)
        }

    def _open(self, record: SealedRecord) -> tuple[bytes, bytes]:
        salt, key = _opening(self._openings, record.index, record.compartment)
        try:
            plaintext = ChaCha20Poly1305(key).decrypt(_NONCE, record.body, record.header)
        except InvalidTag:
            raise IntegrityError(f"The sealed {record.compartment} of leaf {record.index} was altered.") from None
        return salt, plaintext

    def frame_key(self, track: str) -> bytes:
        """The key of the frames of a recording's ``track``. Raises ConfigError when it is not for this identity."""
        if track not in self._keys:
            raise ConfigError(f"This identity does not open the {track} track.", hint="Use an auditor's identity.")
        return _expand(self._keys[track], f"rec/{track}")


def places(path: Path) -> Iterator[tuple[int, str, int, int]]:
    """Leaf, compartment, offset and size of the records in a sealed file, up to the first that is not whole."""
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while head := os.pread(file.fileno(), HEADER.size + 255, at):
            if len(head) < HEADER.size or head[:4] != MAGIC:
                return
            _, _, length, _, _, index, body = HEADER.unpack_from(head)
            name, size = (
                head[HEADER.size : HEADER.size + length].decode("ascii", "replace"),
                HEADER.size + length + body,
            )
            if at + size > end:
                return
            yield index, name, at, size
            at += size


def read_records(data: bytes) -> list[SealedRecord]:
    """The records of a sealed file, up to the first that is not whole."""
    records, at = [], 0
    while at < len(data):
        try:
            record = read_record(data, at)
        except ValueError:
            break
        records.append(record)
        at += len(record.header) + len(record.body)
    return records


def open_vault(directory: Path, sid: uuid.UUID, identity: str) -> OpenVault:
    """The keys of session ``sid`` that the age ``identity`` (``AGE-SECRET-KEY-1...``) opens.

    Raises ConfigError when it opens none, IntegrityError when the session has no key files.
    """
    try:
        holder = pyrage.x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError:
        raise ConfigError("The identity is not an age X25519 identity.", hint="It begins `AGE-SECRET-KEY-1`.") from None
    paths = {track: directory / "keys" / f"{sid}.{track}.age" for track in TRACKS}
    if not any(path.exists() for path in paths.values()):
        raise IntegrityError(f"Session {sid} has no keys here.", hint="They may have been erased.")
    keys = {}
    for track, path in paths.items():
        try:
            keys[track] = pyrage.decrypt(path.read_bytes(), [holder])
        except (pyrage.DecryptError, FileNotFoundError):
            continue
    if "agent" not in keys:
        raise ConfigError(f"This identity does not open session {sid}.", hint="Use the replay or an auditor identity.")
    return OpenVault(directory, sid, keys)


def check_opening(commitment: str, salt: bytes, plaintext: bytes) -> bool:
    """Whether salt and plaintext open a leaf's base64 ``commitment``: SHA-256(salt || plaintext)."""
    return hmac.compare_digest(commitment.encode(), b64encode(sha256(salt + plaintext).digest()))
