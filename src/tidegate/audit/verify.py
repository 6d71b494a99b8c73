"""The offline verifier: is this log whole, unaltered, and signed by whom the auditor trusts?

It needs Python's standard library and nothing else, neither the gateway nor its operator, and ships as this one file:
``python3 verify.py DIRECTORY [--trust FILE] [--seen FILE]...``. Stored bytes are hashed as they are and never written
anew. Invariants: no input whatever raises; every check is reported whether it holds or not; what could not be proven
is said in plain words. Specified in docs/spec/log.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

HOLDS, ALTERED, INCOMPLETE, UNTRUSTED, USAGE = 0, 1, 3, 4, 64
WIDTH = 256
SILENCE = 30_000_000
"""Microseconds between two leaves of one start that are a gap; heartbeats come every 10 s."""

_KINDS = """
log.genesis log.heartbeat log.recovered log.stop
gw.start config.changed policy.activated
identity.bound identity.disabled cred.enrolled
auth.ok auth.fail
token.issued token.revoked
grant.activated grant.used grant.revoked grant.expired
session.start session.end session.killed
op.intent op.held op.outcome
approval.requested approval.shown approval.granted approval.rejected approval.withdrawn
approval.expired approval.used approval.voided
gateway.statement rec.seal alert.raised replay.opened
"""
KINDS = frozenset(_KINDS.split())


class Check(NamedTuple):
    """One question and its answer."""

    ok: bool
    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not hold: ``index`` is the leaf where known, ``status`` what it means for the exit status."""

    check: str
    status: int
    sentence: str
    index: int | None = None

    def __str__(self) -> str:
        return self.sentence if self.index is None else f"leaf {self.index}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Report:
    """The answer: ``status`` 0 holds, 1 altered, 3 incomplete, 4 not under the trust policy, 64 nothing to verify."""

    origin: str
    size: int
    root: str
    checks: list[Check]
    findings: list[Finding]
    unproven: list[str]

    @property
    def status(self) -> int:
        """The exit status: the gravest finding's."""
        found = {finding.status for finding in self.findings}
        return next((status for status in (USAGE, ALTERED, UNTRUSTED, INCOMPLETE) if status in found), HOLDS)


class Fault(Exception):
    """A sentence that says why something cannot be read; never leaves this module."""


def _read(path: Path) -> bytes:
    """A plain file's bytes: a pipe put in its place must not keep the verifier waiting. Raises OSError."""
    if not path.is_file():
        raise FileNotFoundError(path)
    return path.read_bytes()


# Ed25519, RFC 8032 section 5.1, verification only.

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
_Point = tuple[int, int, int, int]


def _x(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    return _P - x if x & 1 != sign else x


def _point(data: bytes) -> _Point | None:
    number = int.from_bytes(data, "little")
    y = number & ((1 << 255) - 1)
    x = _x(y, number >> 255) if y < _P else None
    return None if x is None else (x, y, 1, x * y % _P)


def _add(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(factor: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = _add(total, point)
        point, factor = _add(point, point), factor >> 1
    return total


_BASE = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is one of ``public`` over ``message``, RFC 8032 section 5.1.7."""
    if len(public) != 32 or len(signature) != 64 or _BASE is None:
        return False
    key, scalar = _point(public), int.from_bytes(signature[32:], "little")
    commitment = _point(signature[:32])
    if key is None or commitment is None or scalar >= _ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    left, right = _times(scalar, _BASE), _add(commitment, _times(challenge, key))
    return (left[0] * right[2] - right[0] * left[2]) % _P == 0 and (left[1] * right[2] - right[1] * left[2]) % _P == 0


# Notes and checkpoints, c2sp.org/signed-note and c2sp.org/tlog-checkpoint.


class Checkpoint(NamedTuple):
    """A checkpoint as it is written, not yet believed."""

    text: str
    origin: str
    size: int
    root: bytes
    signatures: list[tuple[str, bytes]]

    def signed_by(self, vkey: str) -> bool | None:
        """Whether the key signed this; None when it left no signature here."""
        name, public = _key(vkey)
        identifier = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
        found = [signature[4:] for by, signature in self.signatures if by == name and signature[:4] == identifier]
        return ed25519_verify(public, self.text.encode(), found[0]) if found else None


def _base64(text: str) -> bytes:
    """Decode base64 that is written in the only way it can be."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if base64.b64encode(data).decode() != text:
        raise Fault("base64 is malformed")
    return data


def _key(vkey: str) -> tuple[str, bytes]:
    name, _, rest = vkey.partition("+")
    raw = _base64(rest.partition("+")[2])
    identifier = hashlib.sha256(name.encode(errors="replace") + b"\n" + raw).hexdigest()[:8]
    if not name or len(raw) != 33 or raw[0] != 1 or rest.partition("+")[0] != identifier:
        raise Fault("the verifier key is malformed")
    return name, raw[1:]


def read_checkpoint(note: bytes) -> Checkpoint:
    """The parts of a checkpoint note. Raises Fault."""
    try:
        text, blank, rest = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise Fault("it is not UTF-8") from None
    lines = text.split("\n")
    signatures = []
    for line in rest.removesuffix("\n").split("\n"):
        dash, _, signature = line.partition(" ")
        name, _, encoded = signature.partition(" ")
        if dash != "\u2014":
            raise Fault("a signature line is malformed")
        signatures.append((name, _base64(encoded)))
    if not blank or len(lines) != 3 or not re.fullmatch(r"0|[1-9][0-9]{0,15}", lines[1]) or not rest.endswith("\n"):
        raise Fault("it does not consist of origin, size, root and signatures")
    root = _base64(lines[2])
    if len(root) != 32:
        raise Fault("the root is not 32 bytes")
    return Checkpoint(text + "\n", lines[0], int(lines[1]), root, signatures)


# The tree, RFC 6962 section 2.1, in tiles, c2sp.org/tlog-tiles.


def _leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _fold(row: Sequence[bytes]) -> bytes:
    while len(row) > 1:
        row = [_node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


class Tree:
    """A tree that grows leaf by leaf; ``rows`` are the unfinished tiles, lowest level first."""

    def __init__(self) -> None:
        self.size = 0
        self.rows: list[list[bytes]] = [[]]

    def add(self, leaf: bytes) -> Sequence[tuple[int, int, list[bytes]]]:
        """Add a leaf hash; gives (level, number, hashes) of each tile that this fills."""
        self.size += 1
        self.rows[0].append(leaf)
        return self._filled() if len(self.rows[0]) == WIDTH else ()

    def _filled(self) -> list[tuple[int, int, list[bytes]]]:
        tiles = []
        for level, row in enumerate(self.rows):
            if len(row) < WIDTH:
                break
            tiles.append((level, (self.size >> (8 * level + 8)) - 1, row))
            self.rows[level] = []
            if level + 1 == len(self.rows):
                self.rows.append([])
            self.rows[level + 1].append(_fold(row))
        return tiles

    def root(self) -> bytes:
        """The root so far: the complete subtrees from the smallest to the largest, hashed together."""
        peaks = []
        for row in self.rows:
            at = len(row)
            while at:
                width = at & -at
                peaks.append(_fold(row[at - width : at]))
                at -= width
        if not peaks:
            return hashlib.sha256(b"").digest()
        value = peaks[0]
        for peak in peaks[1:]:
            value = _node_hash(peak, value)
        return value


def _root(hashes: Sequence[bytes]) -> bytes:
    tree = Tree()
    for digest in hashes:
        tree.add(digest)
    return tree.root()


def _tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + (f".p/{width}" if width < WIDTH else "")


def _unbundle(data: bytes) -> list[bytes]:
    """The entries up to the first that is cut short."""
    entries, at = [], 0
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            break
        entries.append(data[at + 2 : end])
        at = end
    return entries


# Entries: restricted JSON, written exactly as RFC 8785 says.


def _no_float(text: str) -> NoReturn:
    raise Fault(f"the entry holds {text[:20]}, which is no integer")


def _integer(text: str) -> int:
    number = int(text) if len(text) < 20 else 2**53
    if not -(2**53) < number < 2**53:
        raise Fault(f"the entry holds {text[:20]}, which is too large")
    return number


_KEY = re.compile("[a-z][a-z0-9_]*")
_known: set[str] = set()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object with the keys that entries may have; doubles show when it is written again."""
    found = dict(pairs)
    if not _known.issuperset(found):
        if not all(map(_KEY.fullmatch, found)):
            raise Fault("the entry is not in canonical form")
        if len(_known) < 1000:
            _known.update(found)
    return found


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_no_float, parse_constant=_no_float
).decode
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def read_entry(entry: bytes) -> dict[str, Any]:
    """The leaf in ``entry``. Raises Fault when its bytes are not the canonical ones."""
    try:
        leaf = _decode(entry.decode())
        canonical = _encode(leaf).encode() == entry and isinstance(leaf, dict) and len(entry) <= 32_768
    except (ValueError, RecursionError):
        raise Fault("the entry is not JSON") from None
    if not canonical:
        raise Fault("the entry is not in canonical form")
    return dict(leaf)


# The write-ahead log: what is not in the tree yet.

_SEGMENT = struct.Struct(">8sIIQ16s24s")
_RECORD = struct.Struct(">IB3sQ32s")
_PLAUSIBLE = re.compile(rb"(?=[\x01-\x03]\0\0\0)")


def _record(data: bytes, at: int) -> tuple[int, int, bytes, bytes, int] | None:
    """Type, number, payload, hash and end of the valid record at ``at``."""
    if at + _RECORD.size > len(data):
        return None
    size, kind, zero, number, digest = _RECORD.unpack_from(data, at)
    start = at + _RECORD.size
    end = start + size + -size % 8
    if kind not in (1, 2, 3) or zero != b"\0\0\0" or end > len(data) or any(data[start + size : end]):
        return None
    payload = data[start : start + size]
    return (kind, number, payload, digest, end) if _leaf_hash(payload) == digest else None


class Wal:
    """The leaves of a write-ahead log, and the frames of recordings that may not be in their files yet.

    ``first`` is the index of the first leaf; ``hashes`` are those of the leaves that the checkpoint of ``size`` leaves
    covers, ``tail`` the entries after them. ``torn`` counts bytes of a torn tail, ``lost`` records that were synced.
    """

    def __init__(self, directory: Path, origin: str, size: int) -> None:
        self.first: int | None = None
        self.hashes: list[bytes] = []
        self.tail: list[bytes] = []
        self.frames: dict[tuple[str, int], bytes] = {}
        self.torn = self.lost = 0
        self._size = size
        self._last = 0
        mark = directory / "synced"
        held = mark.read_bytes() if mark.is_file() else b""
        self._synced = int.from_bytes(held, "big") if len(held) == 8 else None
        shard = hashlib.sha256(origin.encode()).digest()[:16]
        for path in sorted(directory.glob("*.wal")):
            self._segment(path.name, _read(path), shard)
        self.lost = max(0, (self._synced or 0) - self._last)

    @property
    def end(self) -> int:
        """The number of leaves of the log, as far as it is known here."""
        return (self.first or 0) + len(self.hashes) + len(self.tail)

    def hash(self, index: int) -> bytes | None:
        """The hash of leaf ``index``, if it is here and the checkpoint covers it."""
        at = index - (self.first or 0)
        return self.hashes[at] if 0 <= at < len(self.hashes) else None

    def _segment(self, name: str, data: bytes, shard: bytes) -> None:
        at = 0
        if not self.torn and len(data) >= _SEGMENT.size:
            magic, version, zero, first, found, rest = _SEGMENT.unpack_from(data)
            known = (magic, version, zero, found, rest) == (b"TGWAL\r\n\x01", 1, 0, shard, bytes(24))
            if known and (not self._last or first == self._last + 1):
                self._last, at = first - 1, _SEGMENT.size
        while at and (record := _record(data, at)) and record[1] == self._last + 1:
            kind, self._last, payload, digest, at = record
            if kind == 1:
                self._leaf(payload, digest)
            elif kind == 2:
                self._frame(payload, digest)
        rest = data[at:].rstrip(b"\0")
        self.torn += len(rest)
        if rest and (self._synced is None or self._last < self._synced):
            self._refuse_a_hole(name, data, at)

    def _leaf(self, entry: bytes, digest: bytes) -> None:
        """A leaf that the tree has is known by its hash; of the first and the others the index is read."""
        if self.first is None:
            self.first = _number(read_entry(entry), "i")
        elif self.end >= self._size and _number(read_entry(entry), "i") != self.end:
            raise Fault(f"leaf {_number(read_entry(entry), 'i')} stands where leaf {self.end} should")
        if self.end < self._size:
            self.hashes.append(digest)
        else:
            self.tail.append(entry)

    def _frame(self, chunk: bytes, digest: bytes) -> None:
        found = _frame_at(chunk, _preamble(chunk) if chunk.startswith(b"TGREC") else 0)
        if found is not None:
            self.frames[f"{found.sid}.{TRACKS[found.track]}", found.number] = digest

    def _refuse_a_hole(self, name: str, data: bytes, at: int) -> None:
        """Raise Fault when a valid record follows the break at ``at``."""
        for match in _PLAUSIBLE.finditer(data, at + 4):
            start = match.start() - 4
            record = _record(data, start) if start % 8 == 0 else None
            if record is not None and record[1] > self._last:
                raise Fault(
                    f"wal/{name}, byte {at}: record {self._last + 1} is missing or damaged, record {record[1]} is whole"
                )


# Recordings, docs/spec/recording.md: what can be checked without a key.

TRACKS = ("agent", "upstream")
TRAILER = 0xFFFF_FFFF
_FILE = struct.Struct(">8sHHI")
_FRAME = struct.Struct(">4sI12xI16xBBH16sB3x")


class _Place(NamedTuple):
    number: int
    sid: uuid.UUID
    track: int
    end: int


def _preamble(data: bytes) -> int:
    """The length of the file header at the start of ``data``; 0 when there is none."""
    if len(data) < 64:
        return 0
    magic, version, _, size = _FILE.unpack_from(data)
    return 64 + int(size) if (magic, version) == (b"TGREC\r\n\x01", 1) and size <= 16_384 else 0


def _frame_at(data: bytes, at: int) -> _Place | None:
    """The frame whose header stands at ``at``."""
    if at + _FRAME.size > len(data):
        return None
    magic, number, size, _, _, _, sid, track = _FRAME.unpack_from(data, at)
    if magic != b"TGFR" or track >= len(TRACKS) or size > 2**18:
        return None
    return _Place(number, uuid.UUID(bytes=sid), track, at + _FRAME.size + size)


def read_frames(path: Path) -> tuple[str, list[bytes], bool]:
    """Session and track that the frames name, their hashes, and whether the file ends with its trailer.

    Raises Fault when something else than one recording is in the file, OSError.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    name, hashes, ended = "", list[bytes](), False
    with path.open("rb") as file:
        head = file.read(64)
        head += file.read(max(0, _preamble(head) - 64))
        while fixed := file.read(_FRAME.size):
            place = _frame_at(fixed, 0)
            if place is None or ended or place.number not in (len(hashes), TRAILER):
                raise Fault(f"frame {len(hashes)} is damaged, missing or out of order")
            body = file.read(place.end - _FRAME.size)
            if len(body) < place.end - _FRAME.size:
                raise Fault(f"frame {len(hashes)} is cut short")
            if name not in ("", f"{place.sid}.{TRACKS[place.track]}"):
                raise Fault(f"frame {len(hashes)} is of another recording")
            name = f"{place.sid}.{TRACKS[place.track]}"
            ended = place.number == TRAILER
            if not ended:
                hashes.append(_leaf_hash(head + fixed + body))
            head = b""
    return name, hashes, ended


# What the leaves say, taken together.


def _text(leaf: dict[str, Any], name: str) -> str:
    value = leaf.get(name)
    return value if isinstance(value, str) else ""


def _number(leaf: dict[str, Any], name: str) -> int:
    value = leaf.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


Say = Callable[[str, int, str, int], None]
Seal = tuple[int, str]
"""Number of frames of a recording's track, and the root over their hashes in hex."""

_FORWARDED = frozenset({"ok", "error", "skipped"})
_EARLY = 10_000_000
"""Microseconds by which the start of a session may be later than the end of its grant: it is checked, then written."""


def _subjects(leaf: dict[str, Any], name: str) -> list[str]:
    value = leaf.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class Session:
    """What the leaves of a session have said so far; ``intents`` are open, ``seals`` pin its recording by track."""

    __slots__ = (
        *("act", "barred", "boot", "counter", "ended", "grant", "intents", "pinned", "resource", "seals", "start"),
    )

    def __init__(self, start: int, leaf: dict[str, Any]) -> None:
        self.start = start
        self.boot = _text(leaf, "b")
        self.act = leaf.get("act")
        self.grant = _text(leaf, "gid")
        self.resource = _text(leaf, "res")
        self.barred = ""
        self.counter = 0
        self.ended = self.pinned = False
        self.intents: dict[int, str] = {}
        self.seals: dict[str, Seal] = {}


@dataclass(slots=True)
class Approval:
    """What the leaves have said of an approval; ``yes`` are the subjects who granted it."""

    session: str
    digest: str
    intents: list[Any]
    needs: list[Any]
    yes: set[str]
    over: str = ""


class Population:
    """Reads the leaves in order and says what is missing, double or out of order."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._boot = self._kind = ""
        self._moment = 0
        self._unclean = False
        self._people: dict[str, list[str]] = {}
        self._grants: dict[str, tuple[int, dict[str, Any]]] = {}
        self._ended: set[str] = set()
        self._approvals: dict[str, Approval] = {}
        self._permitted: set[int] = set()
        self.sessions: dict[str, Session] = {}

    @property
    def open(self) -> list[int]:
        """Intents of sessions that are open."""
        return sorted(intent for session in self.sessions.values() for intent in session.intents)

    def feed(self, index: int, leaf: dict[str, Any]) -> None:
        """Take in the next leaf."""
        kind = _text(leaf, "k")
        if leaf.get("v") != 1 or leaf.get("i") != index or (index == 0) != (kind == "log.genesis"):
            self._say(
                "entries", ALTERED, f"it says that it is leaf {leaf.get('i')!r} ({kind or 'no kind'})"[:200], index
            )
        if kind not in KINDS:
            self._say("kinds", ALTERED, f"its kind {kind[:40]!r} is not known", index)
        self._time(index, kind, leaf)
        session = self._session(index, kind, leaf) if "sid" in leaf else None
        group = kind.partition(".")[0]
        if group == "op":
            self._operation(index, kind, leaf, session)
        elif group == "approval":
            self._approval(index, kind, leaf, session)
        elif group in ("identity", "grant", "token"):
            self._authority(kind, index, leaf)
        if kind == "session.end" and session is not None:
            self._session_end(index, leaf, session)
        self._kind = kind

    def finish(self) -> None:
        """Say which sessions of processes that are gone have no end."""
        for sid, session in self.sessions.items():
            if not session.ended and session.boot != self._boot:
                what = f"session {sid[:36]} has no end, although the gateway was started again since"
                self._say("sessions", INCOMPLETE, what, session.start)

    def _time(self, index: int, kind: str, leaf: dict[str, Any]) -> None:
        boot, moment = _text(leaf, "b"), _number(leaf, "m")
        if boot != self._boot:
            self._unclean = self._unclean or (bool(self._boot) and self._kind != "log.stop")
        elif moment < self._moment:
            self._say("clock", ALTERED, "the monotonic clock of its gateway went backwards", index)
        elif moment - self._moment > SILENCE:
            seconds = (moment - self._moment) // 1_000_000
            self._say("heartbeats", INCOMPLETE, f"{seconds} s of silence before it, without a heartbeat", index)
        if kind == "log.recovered":
            self._unclean = False
            if _number(leaf, "lost") > 0:
                self._say("heartbeats", INCOMPLETE, f"{leaf['lost']} synced records were lost before it", index)
        elif self._unclean and kind not in ("op.outcome", "session.end"):
            self._unclean = False
            self._say("heartbeats", INCOMPLETE, "a restart without log.stop before it and without log.recovered", index)
        self._boot, self._moment = boot, moment

    def _session(self, index: int, kind: str, leaf: dict[str, Any]) -> Session:
        sid, counter = _text(leaf, "sid"), _number(leaf, "n")
        session = self.sessions.get(sid)
        if session is None:
            session = self.sessions[sid] = Session(index, leaf)
            if kind == "session.start":
                self._admission(index, leaf, session)
            else:
                self._say("sessions", INCOMPLETE, f"session {sid[:36]} has no start", index)
        expected = session.counter + 1
        if counter != expected or session.ended:
            what = "its session has ended" if session.ended else f"it is number {counter}, not {expected}"
            self._say("sessions", INCOMPLETE, f"{what} (session {sid[:36]})", index)
        session.counter = counter
        if leaf.get("act", session.act) != session.act:
            self._say("sessions", ALTERED, "it is of another identity than its session", index)
        if _text(leaf, "b") != session.boot and kind not in ("op.outcome", "session.end"):
            self._say("sessions", ALTERED, "it is of another process than its session", index)
        if kind == "rec.seal":
            session.seals[_text(leaf, "track")] = (_number(leaf, "frames"), _text(leaf, "root"))
        return session

    def _session_end(self, index: int, leaf: dict[str, Any], session: Session) -> None:
        session.ended = True
        roots = leaf.get("rec")
        for track, seal in roots.items() if isinstance(roots, dict) else ():
            if isinstance(seal, dict):
                session.pinned = True
                session.seals[track] = (_number(seal, "frames"), _text(seal, "root"))
        if _number(leaf, "total") != session.counter:
            self._say("sessions", INCOMPLETE, f"the session ends with a total that is not {session.counter}", index)
        for intent in session.intents:
            self._say("intents", INCOMPLETE, f"the session ended at leaf {index} without its outcome", intent)
        session.intents.clear()

    def _admission(self, index: int, leaf: dict[str, Any], session: Session) -> None:
        """No grant, no connection; a session that began after its end is closed without an operation."""
        if not session.grant:
            return
        at, grant = self._grants.get(session.grant, (-1, {}))
        if (grant.get("act"), grant.get("res")) != (session.act, session.resource) or leaf.get("gl", at) != at:
            self._say("grants", ALTERED, f"its grant {session.grant[:40]} was not given before to this identity", index)
        elif _number(leaf, "t") > _number(grant, "exp") + _EARLY:
            self._say("grants", ALTERED, f"its grant {session.grant[:40]} had expired", index)
        chain = _subjects(leaf, "act")
        session.barred = next(
            (id for id in (session.grant, _text(leaf, "jti"), *chain) if id in self._ended),
            "",
        )

    def _authority(self, kind: str, index: int, leaf: dict[str, Any]) -> None:
        if kind == "identity.bound" and isinstance(leaf.get("groups"), list):
            self._people[_text(leaf, "sub")] = _subjects(leaf, "groups")
            self._ended.discard(_text(leaf, "sub"))
        elif kind == "grant.activated":
            self._grants[_text(leaf, "gid")] = (index, leaf)
        ends = {"identity.disabled": "sub", "grant.revoked": "gid", "token.revoked": "jti"}
        if kind in ends:
            self._ended.add(_text(leaf, ends[kind]))

    def _operation(self, index: int, kind: str, leaf: dict[str, Any], session: Session | None) -> None:
        if session is None:
            self._say("intents", INCOMPLETE, "it is an operation of no session", index)
        elif kind == "op.intent":
            session.intents[index] = _text(leaf, "req")
            if session.barred:
                self._say("grants", ALTERED, f"an operation, although {session.barred[:40]} had been ended", index)
        elif kind == "op.outcome":
            intent = _number(leaf, "of")
            verdict = session.intents.pop(intent, None)
            if verdict is None:
                self._say(
                    "intents", INCOMPLETE, f"it closes leaf {intent}, which is no open intent of its session", index
                )
            elif _text(leaf, "st") in _FORWARDED and (
                verdict == "refuse" or (verdict == "hold" and intent not in self._permitted)
            ):
                why = "was refused" if verdict == "refuse" else "was held and no approval for it was used"
                self._say("verdicts", ALTERED, f"the operation of leaf {intent} {why}, yet it was executed", index)
            self._permitted.discard(intent)

    def _approval(self, index: int, kind: str, leaf: dict[str, Any], session: Session | None) -> None:
        id, step = _text(leaf, "ap"), kind.partition(".")[2]
        approval = self._approvals.get(id)
        wrong = ""
        if step == "requested":
            wrong = "is requested a second time" if approval else ""
            of, needs = leaf.get("of"), leaf.get("need")
            self._approvals[id] = approval = Approval(
                _text(leaf, "sid"),
                _text(leaf, "dg"),
                of if isinstance(of, list) else [],
                needs if isinstance(needs, list) else [],
                set(),
            )
        elif approval is None:
            wrong = f"is {step} but was not requested before"
        elif approval.session != _text(leaf, "sid") or leaf.get("dg", approval.digest) != approval.digest:
            wrong = f"is {step} for something else than was requested"
        elif step == "granted":
            wrong = self._granted(approval, _text(leaf, "by"), session)
        elif step == "used":
            wrong = self._used(approval, leaf)
        elif step != "shown":
            approval.over = approval.over or step
        if wrong:
            self._say("approvals", ALTERED, f"approval {id[:40]} {wrong}", index)

    def _granted(self, approval: Approval, by: str, session: Session | None) -> str:
        """What is wrong with this yes; nothing else makes it count."""
        if by in _subjects({"act": session.act if session else []}, "act"):
            return "is granted by somebody in the requester's own chain"
        if by not in self._people:
            return "is granted by nobody that the log knows"
        if by in self._ended:
            return "is granted by somebody who is disabled"
        approval.yes.add(by)
        return ""

    def _used(self, approval: Approval, leaf: dict[str, Any]) -> str:
        if approval.over:
            return "is used a second time" if approval.over == "used" else f"is used although it is {approval.over}"
        approval.over = "used"
        if not approval.yes:
            return "is used but was not granted before"
        if leaf.get("of", approval.intents) != approval.intents:
            return "is used for something else than was requested"
        for need in approval.needs:
            groups = set(_subjects(need, "groups")) if isinstance(need, dict) else set()
            count = _number(need, "count") if isinstance(need, dict) else 1
            if sum(1 for by in approval.yes if groups & set(self._people[by])) < max(1, count):
                return f"is used without {count} of {' or '.join(sorted(groups))[:80]}"
        self._permitted.update(intent for intent in approval.intents if isinstance(intent, int))
        return ""


# The examination.

CHECKS = {
    "checkpoint": "the checkpoint can be read",
    "trust": "the trust policy knows the key of this log",
    "signature": "the checkpoint is signed",
    "entries": "every entry is there, canonical and in its place",
    "tiles": "every tile holds the hashes of what is below it",
    "root": "the entries lead to the signed root",
    "seen": "the log begins with every checkpoint that was kept",
    "wal": "the write-ahead log agrees with the tree",
    "kinds": "every kind of event is known",
    "clock": "no gateway's clock went backwards",
    "heartbeats": "there is no gap in time",
    "sessions": "every session's events are numbered without a gap",
    "intents": "every intent has its outcome",
    "grants": "every session had a grant, and none went on after its end",
    "verdicts": "nothing refused was executed, and nothing held without its approval",
    "approvals": "every approval was asked for, granted by others, and used once",
    "recordings": "every recording has the frames that the log names",
}
"""The checks in the order of the report, and what it means that one holds."""


_NAMED = 1000
"""Findings of one check that are told one by one; the others are counted."""


class Examination:
    """One pass over one data directory."""

    def __init__(self, directory: Path, trust: Path | None, seen: Sequence[Path]) -> None:
        self._directory = directory
        self._trust = trust
        self._seen = seen
        self.findings: list[Finding] = []
        self.unproven: list[str] = []
        self.note = b""
        self._skipped = set() if seen else {"seen"}
        self._checkpoint: Checkpoint | None = None
        self._tree = Tree()
        self._named = ""
        self._wal: Wal | None = None
        self._counts: dict[str, int] = {}

    def run(self) -> Report:
        """Everything that can be checked, in order."""
        try:
            log = self._find()
            checkpoint = self._checkpoint = read_checkpoint(self.note)
        except Fault as fault:
            self._skipped |= set(CHECKS) - {"checkpoint"}
            if not self.findings:
                self._say("checkpoint", ALTERED, f"the checkpoint cannot be read: {fault}")
            return self._report()
        kept = self._kept()
        self._read_wal(checkpoint)
        population = Population(self._say)
        roots = self._read_entries(log, checkpoint.size, population, {k.size for _, k in kept})
        population.finish()
        self._read_recordings(population.sessions)
        self._compare_root(checkpoint)
        vkey = self._trusted(checkpoint)
        self._compare_signature(checkpoint, vkey)
        for path, seen in kept:
            self._compare_seen(path, seen, checkpoint, roots, vkey)
        self._say_what_is_open(population)
        return self._report()

    def _find(self) -> Path:
        logs = sorted(path for path in self._directory.glob("log/*") if path.is_dir())
        if not logs:
            self._say("checkpoint", USAGE, f"{self._directory} is no data directory: it holds no log")
            raise Fault("there is no log")
        if len(logs) > 1:
            self._say("checkpoint", ALTERED, "there is more than one shard; only the newest is examined")
        try:
            self.note = _read(logs[-1] / "checkpoint")
        except OSError:
            raise Fault("it is missing") from None
        return logs[-1]

    def _kept(self) -> list[tuple[Path, Checkpoint]]:
        kept = []
        for path in self._seen:
            try:
                kept.append((path, read_checkpoint(_read(path))))
            except (Fault, OSError) as fault:
                self._say("seen", USAGE, f"{path} is no checkpoint: {fault}")
        return kept

    def _read_wal(self, checkpoint: Checkpoint) -> None:
        """Take in the hashes of leaves that are in the tree too, and count those that are not."""
        directory = self._directory / "wal"
        if not directory.is_dir():
            self._skipped.add("wal")
            self.unproven.append(
                "There is no write-ahead log here, so nothing is known of events after the checkpoint."
            )
            return
        try:
            wal = Wal(directory, checkpoint.origin, checkpoint.size)
            if (wal.first or 0) > checkpoint.size:
                raise Fault(f"leaf {wal.first} stands where leaf {checkpoint.size} should")
            if wal.end < checkpoint.size:
                raise Fault(f"it ends {checkpoint.size - wal.end} leaves before the checkpoint does")
        except (Fault, OSError) as fault:
            self._say("wal", ALTERED, f"the write-ahead log is corrupt: {fault}")
            return
        self._wal = wal
        if wal.torn:
            self.unproven.append(f"The write-ahead log ends in {wal.torn} bytes of a record that was never finished.")
        if wal.lost:
            self.unproven.append(
                f"{wal.lost} records that were synced are missing at the end of the write-ahead log: this is a copy of "
                "a running gateway, or the end was cut off."
            )

    def _read_entries(self, log: Path, size: int, population: Population, sizes: set[int]) -> dict[int, bytes]:
        """Every entry into the tree, tile by tile; gives the roots at ``sizes``."""
        roots = {0: self._tree.root()}
        for number in range((size + WIDTH - 1) // WIDTH):
            first, width = number * WIDTH, min(WIDTH, size - number * WIDTH)
            data = self._load(log, "entries", number, width)
            entries = _unbundle(data) if data is not None else []
            if len(entries) not in (width, WIDTH) or sum(2 + len(entry) for entry in entries) != len(data or b""):
                what = "is missing" if data is None else "is garbled or cut short"
                self._say(
                    "entries",
                    ALTERED,
                    f"{_tile_path('entries', number, width)} {what}",
                    self._wrong(log, number, entries),
                )
            for index, entry in enumerate(entries[:width], first):
                self._read_leaf(log, index, entry, population)
                if index + 1 in sizes:
                    roots[index + 1] = self._tree.root()
            if len(entries) < width:
                return roots
        for level, row in enumerate(self._tree.rows):
            if row:
                self._compare_tile(log, level, size >> (8 * level + 8), row)
        return roots

    def _wrong(self, log: Path, number: int, entries: list[bytes]) -> int:
        """The first leaf of a garbled bundle that does not have its hash in the tile."""
        row = self._load(log, 0, number, WIDTH) or b""
        for at, entry in enumerate(entries[:WIDTH]):
            if row[32 * at : 32 * at + 32] not in (b"", _leaf_hash(entry)):
                return number * WIDTH + at
        return number * WIDTH + min(len(entries), WIDTH - 1)

    def _read_leaf(self, log: Path, index: int, entry: bytes, population: Population) -> None:
        digest = _leaf_hash(entry)
        if self._wal is not None and self._wal.hash(index) not in (None, digest):
            self._say("wal", ALTERED, "the write-ahead log has another entry than the tree", index)
        try:
            leaf = read_entry(entry)
            if index == 0:
                self._named = _text(leaf, "vkey")
            population.feed(index, leaf)
        except Fault as fault:
            self._say("entries", ALTERED, str(fault), index)
        for level, number, row in self._tree.add(digest):
            self._compare_tile(log, level, number, row)

    def _compare_tile(self, log: Path, level: int, number: int, row: Sequence[bytes]) -> None:
        path = _tile_path(level, number, len(row))
        data = self._load(log, level, number, len(row))
        if data is None or len(data) < 32 * len(row):
            self._say("tiles", ALTERED, f"{path} is {'missing' if data is None else 'cut short'}")
            return
        if len(data) not in (32 * len(row), 32 * WIDTH):
            self._say("tiles", ALTERED, f"{path} is too long")
        if data.startswith(b"".join(row)):
            return
        for at, digest in enumerate(row):
            if data[32 * at : 32 * at + 32] != digest:
                leaf = (number * WIDTH + at) << (8 * level)
                last = leaf + (1 << (8 * level)) - 1
                what = (
                    f"its entry does not have the hash in {path}" if not level else f"{path} is wrong up to leaf {last}"
                )
                self._say("tiles", ALTERED, what, leaf)

    @staticmethod
    def _load(log: Path, level: int | str, number: int, width: int) -> bytes | None:
        """A bundle or tile; the full one does where a partial one was superseded."""
        for path in (_tile_path(level, number, width), _tile_path(level, number)):
            try:
                return _read(log / path)
            except OSError:
                continue
        return None

    def _read_recordings(self, sessions: dict[str, Session]) -> None:
        """Compare each track with the newest root that the log holds of it."""
        files = {path.name.removesuffix(".gwrec"): path for path in self._directory.glob("rec/*/*/*/*.gwrec")}
        wanted = {
            f"{sid}.{track}": (session, seal)
            for sid, session in sessions.items()
            for track, seal in session.seals.items()
        }
        if not files and wanted:
            self._skipped.add("recordings")
            self.unproven.append(f"There are no recordings here; the log names {len(wanted)}.")
            return
        for name, (session, seal) in wanted.items():
            try:
                self._compare_recording(name, files.pop(name), session, seal)
            except KeyError:
                self._say("recordings", INCOMPLETE, f"the recording {name[:50]} is missing", session.start)
            except (Fault, OSError) as fault:
                self._say("recordings", ALTERED, f"the recording {name[:50]} cannot be read: {fault}", session.start)
        strangers = sum(1 for name in files if name.partition(".")[0] not in sessions)
        if strangers:
            self.unproven.append(f"{strangers} recordings are of sessions that no sealed leaf names.")

    def _compare_recording(self, name: str, path: Path, session: Session, seal: Seal) -> None:
        """Frames that a crash kept from the file are taken from the write-ahead log, as recovery will."""
        found, hashes, _ = read_frames(path)
        count, root = seal
        while self._wal is not None and (more := self._wal.frames.get((name, len(hashes)))):
            hashes.append(more)
        if found not in ("", name):
            raise Fault("it is the recording of another session or track")
        if len(hashes) < count:
            self._say("recordings", ALTERED, f"{name[:50]} has {len(hashes)} of {count} frames", session.start)
        elif _root(hashes[:count]).hex() != root:
            self._say(
                "recordings", ALTERED, f"the frames of {name[:50]} do not have the root in the log", session.start
            )
        elif session.pinned and len(hashes) > count:
            self._say("recordings", ALTERED, f"{name[:50]} has more frames than the log says", session.start)

    def _compare_root(self, checkpoint: Checkpoint) -> None:
        if self._tree.size != checkpoint.size:
            self._say("root", ALTERED, f"only {self._tree.size} of {checkpoint.size} leaves can be read")
        elif self._tree.root() != checkpoint.root:
            self._say("root", ALTERED, "the entries do not lead to the root that the checkpoint signs")

    def _trusted(self, checkpoint: Checkpoint) -> str:
        """The key to verify with: the trust policy's, or the one that the log itself names."""
        if self._trust is None:
            self._skipped.add("trust")
            return self._named
        keys = []
        try:
            lines = self._trust.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            self._say("trust", USAGE, f"{self._trust} cannot be read")
            return ""
        for line in lines:
            word, _, rest = line.split("#")[0].strip().partition(" ")
            if word == "log" and rest.partition("+")[0] == checkpoint.origin:
                keys.append(rest.strip())
            elif word not in ("", "log") and (word, rest) != ("quorum", "none"):
                self._say("trust", UNTRUSTED, f"the trust policy asks for {word!r}, which this verifier cannot check")
        if not keys:
            self._say("trust", UNTRUSTED, f"the trust policy names no key for {checkpoint.origin[:200]}")
        elif self._named not in keys:
            self._say("trust", UNTRUSTED, "the log names another key than the trust policy", 0)
        return keys[0] if keys else ""

    def _compare_signature(self, checkpoint: Checkpoint, vkey: str) -> None:
        try:
            signed = checkpoint.signed_by(vkey) if vkey else None
        except Fault as fault:
            self._say("signature", UNTRUSTED, str(fault))
            return
        if signed is None:
            status = ALTERED if self._trust is None else UNTRUSTED
            whose = "the key that the log names" if self._trust is None else "the key of the trust policy"
            self._say("signature", status, f"the checkpoint carries no signature of {whose}")
        elif not signed:
            self._say("signature", ALTERED, "the checkpoint was altered after it was signed, or its signature was")

    def _compare_seen(
        self, path: Path, seen: Checkpoint, checkpoint: Checkpoint, roots: dict[int, bytes], vkey: str
    ) -> None:
        if seen.size > checkpoint.size:
            self._say("seen", ALTERED, f"truncated: {path} shows {seen.size} leaves, {checkpoint.size} are presented")
        elif roots.get(seen.size) != seen.root:
            self._say("seen", ALTERED, f"rewritten: the first {seen.size} leaves do not have the root in {path}")
        try:
            signed = seen.signed_by(vkey) if vkey else None
        except Fault:
            signed = None
        if not signed or seen.origin != checkpoint.origin:
            self._say("seen", UNTRUSTED, f"{path} is not signed by the key of this log")

    def _say_what_is_open(self, population: Population) -> None:
        if self._wal is not None and self._wal.tail:
            self.unproven.append(f"{len(self._wal.tail)} leaves are not yet sealed: no checkpoint covers them.")
        waiting = population.open
        if waiting:
            listed = ", ".join(map(str, waiting[:20]))
            self.unproven.append(f"{len(waiting)} intents of open sessions have no outcome yet: leaves {listed}.")
        inside = [str(path) for path in (self._trust, *self._seen) if path and self._holds(path)]
        if inside:
            self.unproven.append(
                f"{', '.join(inside)} lies in the data directory itself: who changed the log could have changed it too."
            )
        if self._trust is None:
            self.unproven.append(
                "Without --trust the signature is only compared with the key that the log names itself: a log made "
                "anew under another key would pass."
            )
        if not self._seen:
            self.unproven.append(
                "Without --seen nothing shows that this is the newest state: a log cut back together with its "
                "checkpoints, or rewritten and signed with the live key, would pass."
            )
        self.unproven.append(
            "No witness outside the gateway has cosigned this log: whoever holds the live key could show another log "
            "to somebody else."
        )
        self.unproven.append("No log shows what its gateway was never told, or was made to leave out beforehand.")

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._directory.resolve())

    def _say(self, check: str, status: int, sentence: str, index: int | None = None) -> None:
        self._counts[check] = self._counts.get(check, 0) + 1
        if self._counts[check] <= _NAMED or status not in {f.status for f in self.findings if f.check == check}:
            self.findings.append(Finding(check, status, sentence, index))

    def _report(self) -> Report:
        checks = []
        for name, holds in CHECKS.items():
            found = [finding for finding in self.findings if finding.check == name]
            if found:
                more = f" (and {self._counts[name] - 1} more)" if self._counts[name] > 1 else ""
                checks.append(Check(False, name, f"{found[0]}{more}"))
            elif name not in self._skipped:
                checks.append(Check(True, name, holds))
        checkpoint = self._checkpoint or Checkpoint("", "", 0, b"", [])
        return Report(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), checks, self.findings, self.unproven)


def verify(directory: Path, *, trust: Path | None = None, seen: Sequence[Path] = ()) -> Report:
    """Check a data directory, or a copy of it, against the trust policy and the checkpoints kept elsewhere."""
    for _ in range(5):
        examination = Examination(directory, trust, seen)
        try:
            report = examination.run()
            current = next(iter(sorted(directory.glob("log/*/checkpoint"), reverse=True)), None)
            moved = current is not None and current.is_file() and _read(current) != examination.note
        except Exception as error:  # whatever was done to the files, the answer is a finding, not a traceback
            finding = Finding("checkpoint", ALTERED, f"the log cannot be read: {type(error).__name__}: {error}")
            return Report("", 0, "", [Check(False, "checkpoint", str(finding))], [finding], [])
        if not (report.status and moved):  # a running gateway may replace files while they are read: look again
            break
    return report


def render(report: Report) -> str:
    """The report as text: a line a check, the findings, what is not proven, and a sentence for the working paper."""
    lines = [f"{'ok  ' if check.ok else 'FAIL'} {check.name:<11} {check.sentence}" for check in report.checks]
    lines += [f"     found: {finding}" for finding in report.findings[:200]]
    lines += [f"     {len(report.findings) - 200} more findings"] if len(report.findings) > 200 else []
    lines += [f"     not proven: {sentence}" for sentence in report.unproven]
    verdict = {
        HOLDS: "is whole and unaltered as far as the checks above go",
        ALTERED: "DOES NOT HOLD: it was altered or damaged",
        INCOMPLETE: "is intact but INCOMPLETE",
        UNTRUSTED: "does NOT MEET the trust policy",
        USAGE: "was not examined",
    }[report.status]
    lines.append(f"The log {report.origin or '(unnamed)'} of {report.size} leaves, root {report.root}, {verdict}.")
    return "\n".join(lines).encode("utf-8", "replace").decode() + "\n"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.format_usage()}{message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = _Parser(prog="verify.py", description="Check a Tidegate audit log offline.")
    parser.add_argument("directory", type=Path, help="the data directory, or a copy of it")
    parser.add_argument("--trust", type=Path, help="the trust policy, kept outside the data directory")
    parser.add_argument("--seen", type=Path, action="append", default=[], help="a checkpoint you kept")
    options = parser.parse_args(arguments)
    report = verify(options.directory, trust=options.trust, seen=options.seen)
    sys.stdout.write(render(report))
    return report.status


if __name__ == "__main__":
    sys.exit(main())
