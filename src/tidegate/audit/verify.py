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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

HOLDS, ALTERED, INCOMPLETE, UNTRUSTED, USAGE = 0, 1, 3, 4, 64
WIDTH = 256
SILENCE = 30_000_000
"""Microseconds between two leaves of one start that are a gap; heartbeats come every 10 s."""

_KINDS = """
log.genesis log.heartbeat log.member log.recovered log.stop
gw.start worker.lost config.changed policy.proposed policy.activated policy.refused
identity.bound identity.linked identity.disabled cred.enrolled cred.revoked
secret.changed account.leased account.returned
auth.ok auth.fail auth.slowed
token.issued token.revoked
grant.requested grant.denied grant.activated grant.used grant.revoked grant.expired
session.start session.end session.killed
op.intent op.held op.released op.outcome
approval.requested approval.tried approval.shown approval.granted approval.escalated approval.rejected
approval.withdrawn approval.expired approval.used approval.voided
breakglass.opened breakglass.reviewed kill.ordered notice.sent notice.failed
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
    """What does not hold: ``index`` is the leaf where known, ``status`` what it means for the exit status.

    ``log`` names the log of a worker; it is empty for the gateway's own.
    """

    check: str
    status: int
    sentence: str
    index: int | None = None
    log: str = ""

    def __str__(self) -> str:
        places = [self.log] if self.log else []
        places += [] if self.index is None else [f"leaf {self.index}"]
        return f"{', '.join(places)}: {self.sentence}" if places else self.sentence


@dataclass(frozen=True, slots=True)
class Report:
    """The answer: ``status`` 0 holds, 1 altered, 3 incomplete, 4 not under the trust policy, 64 nothing to verify.

    ``members`` are the logs of workers: origin, size and root.
    """

    origin: str
    size: int
    root: str
    checks: list[Check]
    findings: list[Finding]
    unproven: list[str]
    members: list[tuple[str, int, str]] = field(default_factory=list)

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


# ECDSA over P-256 with SHA-256, FIPS 186-5 section 6.4.2 and SP 800-186 section 3.2.1.3, verification only.

_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
_GROUP = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    1,
)
_Projective = tuple[int, int, int]


def _sum(p: _Projective, q: _Projective) -> _Projective:
    """The sum of any two points, equal ones and the neutral one too (Renes, Costello and Batina 2015, equation 4)."""
    (a, b, c), (d, e, f) = p, q
    xx, yy, zz = a * d, b * e, c * f
    xy, xz, yz = a * e + d * b, a * f + d * c, b * f + e * c
    low, slope, most = 3 * (xx - zz), 3 * (_B * xz - xx - 3 * zz), 3 * (_B * zz - xz)
    return (
        (xy * (yy - most) - yz * slope) % _FIELD,
        ((yy + most) * (yy - most) + low * slope) % _FIELD,
        (yz * (yy + most) + xy * low) % _FIELD,
    )


def _multiple(factor: int, point: _Projective) -> _Projective:
    total: _Projective = (0, 1, 0)
    while factor:
        if factor & 1:
            total = _sum(total, point)
        point, factor = _sum(point, point), factor >> 1
    return total


def p256_verify(public: tuple[int, int], message: bytes, r: int, s: int) -> bool:
    """Whether ``r``, ``s`` is a signature of the point ``public`` over ``message``."""
    x, y = public
    if not (0 <= x < _FIELD and 0 <= y < _FIELD) or (y * y - x**3 + 3 * x - _B) % _FIELD:
        return False
    if not (0 < r < _GROUP and 0 < s < _GROUP):
        return False
    digest, inverse = int.from_bytes(hashlib.sha256(message).digest(), "big"), pow(s, -1, _GROUP)
    point = _sum(_multiple(digest * inverse % _GROUP, _GENERATOR), _multiple(r * inverse % _GROUP, (x, y, 1)))
    return point[2] != 0 and point[0] * pow(point[2], -1, _FIELD) % _FIELD % _GROUP == r


def _der(data: bytes) -> tuple[int, int]:
    """The two numbers of an ECDSA signature in DER, which has one form only. Raises Fault."""
    size = data[3] if 8 <= len(data) <= 72 else 0
    pair = int.from_bytes(data[4 : 4 + size], "big"), int.from_bytes(data[6 + size :], "big")
    parts = [number.to_bytes(number.bit_length() // 8 + 1, "big") for number in pair]
    body = b"".join(bytes((2, len(part))) + part for part in parts)
    if bytes((0x30, len(body) & 0xFF)) + body != data:
        raise Fault("the signature is not DER")
    return pair


# RSASSA-PKCS1-v1_5, RFC 8017 section 8.2.2, verification only.

_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def rsa_verify(modulus: int, exponent: int, hashed: str, message: bytes, signature: bytes) -> bool:
    """Whether the padded block that ``signature`` hides is, byte for byte, the one that ``message`` should have."""
    size, number = (modulus.bit_length() + 7) // 8, int.from_bytes(signature, "big")
    if not 2048 <= modulus.bit_length() <= 8192 or not 3 <= exponent < 2**64 or not exponent & 1:
        return False
    if len(signature) != size or number >= modulus:
        return False
    told = _DIGEST_INFO[hashed] + hashlib.new(hashed, message).digest()
    block = b"\0\1" + b"\xff" * (size - len(told) - 3) + b"\0" + told
    return pow(number, exponent, modulus).to_bytes(size, "big") == block


# What people sign: an ssh key by PROTOCOL.sshsig, a passkey by WebAuthn level 2.

_SK_ED25519, _SK_P256 = b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"
_TOUCHED, _VERIFIED = 1, 4
"""Flags of a security key that somebody touched, and of an authenticator that verified its user."""


def proof_holds(method: str, public: bytes, action: bytes, signature: bytes, signed: bytes) -> bool:
    """Whether the key ``public`` (``cred.enrolled{pub}``) signed ``action``, by ``ssh`` or ``passkey``."""
    try:
        if method == "ssh":
            return _by_ssh(public, action, signature, signed)
        return method == "passkey" and _by_passkey(public, action, signature, signed)
    except Exception:  # whatever foreign bytes lead to, the proof does not hold
        return False


def _nonce(text: bytes) -> bytes:
    nonce = bytes.fromhex(text.decode())
    if len(nonce) != 32:
        raise Fault("the nonce is not 32 bytes")
    return nonce


def _by_ssh(public: bytes, action: bytes, signature: bytes, signed: bytes) -> bool:
    if action + b"\nnonce " + _nonce(signed[-64:]).hex().encode() != signed:
        return False
    lines = [line.strip() for line in signature.decode().strip().splitlines()]
    if (lines[0], lines[-1]) != ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"):
        return False
    outer = _Wire(base64.b64decode("".join(lines[1:-1]), validate=True))
    if outer.take(10) != b"SSHSIG\0\0\0\1":
        return False
    signer, namespace, reserved, hashed, inner = (outer.string() for _ in range(5))
    if outer.rest or (signer, namespace) != (public, b"tidegate") or hashed not in (b"sha256", b"sha512"):
        return False
    digest = hashlib.new(hashed.decode(), signed).digest()
    parts = (namespace, reserved, hashed, digest)
    message = b"SSHSIG" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return _ssh_verify(_Wire(public), message, _Wire(inner))


class _Wire:
    """Strings and numbers of RFC 4251 section 5; ``rest`` is what has not been taken. Raises Fault."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        if size > len(self.rest):
            raise Fault("it is cut off")
        part, self.rest = self.rest[:size], self.rest[size:]
        return part

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def integer(self) -> int:
        return int.from_bytes(self.string(), "big", signed=True)


def _ssh_verify(key: _Wire, message: bytes, signature: _Wire) -> bool:
    """The key of a blob (RFC 4253 section 6.6, RFC 5656, RFC 8709, PROTOCOL.u2f), and its signature."""
    kind, algorithm, value = key.string(), signature.string(), signature.string()
    curve = key.string() if kind in (b"ecdsa-sha2-nistp256", _SK_P256) else b""
    point = b"" if kind == b"ssh-rsa" else key.string()
    exponent, modulus = (key.integer(), key.integer()) if kind == b"ssh-rsa" else (0, 0)
    if kind in (_SK_ED25519, _SK_P256):
        application, said = key.string(), signature.take(5)
        if not application or not said[0] & _TOUCHED:
            return False
        message = hashlib.sha256(application).digest() + said + hashlib.sha256(message).digest()
    if key.rest or signature.rest or algorithm != (b"rsa-sha2-512" if kind == b"ssh-rsa" else kind):
        return False
    if kind == b"ssh-rsa":
        return rsa_verify(modulus, exponent, "sha512", message, value)
    if kind in (b"ssh-ed25519", _SK_ED25519):
        return ed25519_verify(point, message, value)
    pair = _Wire(value)
    r, s = pair.integer(), pair.integer()
    if pair.rest or curve != b"nistp256" or len(point) != 65 or point[0] != 4:
        return False
    return p256_verify((int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")), message, r, s)


def _by_passkey(public: bytes, action: bytes, signature: bytes, signed: bytes) -> bool:
    first, *others = signed.split(b"\n")
    nonce = _nonce(first)
    authenticator, client = (bytes.fromhex(part.decode()) for part in others)
    said = json.loads(client)
    asked = base64.urlsafe_b64decode(f"{said['challenge']}===")
    if said["type"] != "webauthn.get" or asked != hashlib.sha256(nonce + action).digest():
        return False
    message = authenticator + hashlib.sha256(client).digest()
    return bool(authenticator[32] & _VERIFIED) and _cose_verify(_cose_key(public), message, signature)


_Value = int | bytes | str


def _cose_key(data: bytes) -> dict[int, _Value]:
    """A COSE key of RFC 9052: a map whose keys are numbers, and values numbers or strings (RFC 8949). Raises Fault."""
    wire, found = _Wire(data), dict[int, _Value]()
    count = wire.take(1)[0]
    for _ in range(count - 0xA0 if 0xA0 <= count < 0xB8 else 0):
        label, value = _cbor(wire), _cbor(wire)
        if not isinstance(label, int) or label in found:
            raise Fault("the key is malformed")
        found[label] = value
    if wire.rest:
        raise Fault("the key is malformed")
    return found


def _cbor(wire: _Wire) -> _Value:
    kind, size = divmod(wire.take(1)[0], 32)
    if kind > 3 or size > 27:
        raise Fault("the key holds something else than numbers and strings")
    number = size if size < 24 else int.from_bytes(wire.take(1 << size - 24), "big")
    if kind > 1:
        return wire.take(number).decode() if kind == 3 else wire.take(number)
    return -1 - number if kind else number


def _cose_verify(key: dict[int, _Value], message: bytes, signature: bytes) -> bool:
    """By ES256, EdDSA or RS256 (RFC 9053 section 2, RFC 8812 section 2)."""
    strings = {label: value for label, value in key.items() if isinstance(value, bytes)}
    numbers = {label: int.from_bytes(value, "big") for label, value in strings.items()}
    match key.get(1), key.get(3), key.get(-1):
        case 2, -7, 1:
            return p256_verify((numbers[-2], numbers[-3]), message, *_der(signature))
        case 1, -8, 6:
            return ed25519_verify(strings[-2], message, signature)
        case 3, -257, _:
            return rsa_verify(numbers[-1], numbers[-2], "sha256", message, signature)
    return False


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

_AUTHORITY = frozenset({"identity", "grant", "token", "cred", "approval", "breakglass", "policy", "kill", "secret"})
"""What only the gateway's own log says, and no worker's."""

_ENDS = {"identity.disabled": "sub", "grant.revoked": "gid", "token.revoked": "jti"}
"""Leaf kind -> the field that names what no longer opens anything."""

_SIGNED = frozenset({"passkey", "ssh"})
"""Ways to prove something that leave a signature."""

_GIVEN = ("act", "res", "exp")
"""What a grant has in common with the broken glass that it is for."""

_FORWARDED = frozenset({"ok", "error", "skipped"})
_EARLY = 10_000_000
"""Microseconds by which the start of a session may be later than the end of its grant: it is checked, then written."""


def _subjects(leaf: dict[str, Any], name: str) -> list[str]:
    value = leaf.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class Session:
    """What the leaves of a session have said so far; ``intents`` are open, ``seals`` pin its recording by track.

    ``basis`` are the commitments to what policy looked at, by the leaves that they are sealed with.
    """

    __slots__ = (
        *("act", "barred", "basis", "boot", "counter", "ended", "grant", "intents", "pinned", "resource", "seals"),
        "start",
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
        self.basis: dict[int, object] = {}
        self.seals: dict[str, Seal] = {}


@dataclass(slots=True)
class Approval:
    """What the leaves have said of an approval; ``yes`` are the groups of those who granted it, by subject, and whether
    they signed that.

    ``session`` is the one that used it, at ``moment``; ``released`` are the intents that went on by it, ``purpose`` the
    grant or policy that came of it. ``leaf`` is the one that asked.
    """

    digest: str
    involved: frozenset[str]
    needs: list[Any]
    yes: dict[str, tuple[list[str], bool]]
    leaf: dict[str, Any]
    expires: int
    escalated: int = 0
    over: str = ""
    session: str = ""
    moment: int = 0
    released: frozenset[int] | None = None
    purpose: str = ""


class Told(NamedTuple):
    """What a leaf of the gateway's own log says of a worker's log."""

    leaf: int
    size: int
    root: str
    vkey: str


class Authority:
    """What the gateway's own log says of people, grants and their ends: the logs of workers rest on it.

    All processes of a gateway read one clock, so leaves of different logs are compared by time, with ``_EARLY`` of
    patience either way. ``logs`` are the members; ``names`` are the sessions and approvals of all logs so far.
    """

    def __init__(self) -> None:
        self.given: list[tuple[int, int, dict[str, Any]]] = []
        self.ended: list[tuple[int, str]] = []
        self.logs: dict[str, list[Told]] = {}
        self.names: dict[str, str] = {}
        self.approvals: dict[str, Approval] = {}

    def feed(self, index: int, leaf: dict[str, Any]) -> None:
        """Take in a leaf of the gateway's own log."""
        kind = _text(leaf, "k")
        if kind in ("identity.bound", "grant.activated"):
            self.given.append((_number(leaf, "t"), index, leaf))
        elif kind in _ENDS:
            self.ended.append((_number(leaf, "t"), _text(leaf, _ENDS[kind])))
        elif kind == "log.member":
            told = Told(index, _number(leaf, "size"), _text(leaf, "root"), _text(leaf, "vkey"))
            self.logs.setdefault(_text(leaf, "origin"), []).append(told)

    def first(self, name: str, log: str) -> bool:
        """Whether no other log had a session or an approval of this name."""
        return self.names.setdefault(name, log) == log


class Population:
    """Reads the leaves in order and says what is missing, double or out of order.

    A worker's log, ``member`` by its origin, has no authority of its own: that is read from the gateway's, as far as it
    had come at the time of each leaf. ``signed`` counts each yes that its approver's own key signed, by key,
    ``unsigned`` are the leaves of the others.
    """

    def __init__(self, say: Say, authority: Authority, member: str = "") -> None:
        self._say = say
        self._authority_of_all = authority
        self._member = member
        self._caught_up = [0, 0]
        self._boot = self._kind = ""
        self._moment = 0
        self._unclean = False
        self._people: dict[str, list[str]] = {}
        self._same: dict[str, str] = {}
        self._others: set[str] = set()
        self._keys: dict[str, tuple[str, str, str, int]] = {}
        self._broken: dict[str, dict[str, Any]] = {}
        self._policy: dict[str, Any] = {}
        self._unread = False
        self._grants: dict[str, tuple[int, dict[str, Any]]] = {}
        self._ended: set[str] = set()
        self._permitted: set[int] = set()
        self.sessions: dict[str, Session] = {}
        self.signed: dict[str, int] = {}
        self.unsigned: list[int] = []

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
        if self._member:
            self._catch_up(_number(leaf, "t"))
        else:
            self._authority_of_all.feed(index, leaf)
        session = self._session(index, kind, leaf) if "sid" in leaf else None
        group = kind.partition(".")[0]
        if group == "op":
            self._operation(index, kind, leaf, session)
        elif group == "approval" and not self._member:
            self._approval(index, kind, leaf)
        elif group in _AUTHORITY or kind in ("log.member", "worker.lost"):
            if self._member:
                self._say("grants", ALTERED, f"{kind} has no place in the log of a worker", index)
            else:
                self._authority(kind, index, leaf)
                self._weigh(kind, index, leaf)
        if kind == "session.end" and session is not None:
            self._session_end(index, leaf, session)
        self._kind = kind

    def _catch_up(self, moment: int) -> None:
        """Take in what the gateway's own log had said by then."""
        given, ended = self._authority_of_all.given, self._authority_of_all.ended
        while self._caught_up[0] < len(given) and given[self._caught_up[0]][0] <= moment + _EARLY:
            _, index, leaf = given[self._caught_up[0]]
            self._authority(_text(leaf, "k"), index, leaf)
            self._caught_up[0] += 1
        while self._caught_up[1] < len(ended) and ended[self._caught_up[1]][0] < moment - _EARLY:
            self._ended.add(ended[self._caught_up[1]][1])
            self._caught_up[1] += 1

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
            if not self._authority_of_all.first(f"session {sid}", self._member):
                self._say("sessions", ALTERED, f"session {sid[:36]} is in another log too", index)
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
        session.basis.clear()

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
            if _text(leaf, "kind") not in ("", "user"):
                self._others.add(_text(leaf, "sub"))
            if _text(leaf, "same"):
                self._same[_text(leaf, "sub")] = _text(leaf, "same")
            self._ended.discard(_text(leaf, "sub"))
        elif kind == "grant.activated":
            self._grants[_text(leaf, "gid")] = (index, leaf)
        elif kind == "cred.enrolled":
            self._keys[_text(leaf, "cred")] = (_text(leaf, "sub"), _text(leaf, "method"), _text(leaf, "pub"), index)
        elif kind == "cred.revoked":
            self._keys.pop(_text(leaf, "cred"), None)
        if kind in _ENDS:
            self._ended.add(_text(leaf, _ENDS[kind]))

    def _weigh(self, kind: str, index: int, leaf: dict[str, Any]) -> None:
        """What the gateway's own log gives: grants, broken glass, policies."""
        wrong = ""
        if kind == "grant.activated":
            wrong = self._activated(leaf)
        elif kind == "breakglass.opened":
            chain = _subjects(leaf, "act")
            if len(chain) != 1 or chain[0] in self._others:
                wrong = "glass is broken by others than a person alone"
            elif forged := self._forged(leaf, chain[0], "break-glass", _text(leaf, "res")):
                wrong = f"glass is broken {forged}"
            else:
                self._broken[_text(leaf, "gid")] = leaf
        elif kind == "breakglass.reviewed":
            chain = _subjects(self._broken.get(_text(leaf, "gid"), {}), "act")
            by = self._same.get(_text(leaf, "by"), _text(leaf, "by"))
            if not chain or by in {self._same.get(name, name) for name in chain} or _text(leaf, "by") in self._others:
                wrong = "broken glass is reviewed by who broke it, or by no person, or it was not broken"
        elif kind == "policy.activated":
            wrong, self._policy = self._in_force(leaf), leaf
        if wrong:
            self._say("approvals" if kind == "policy.activated" else "grants", ALTERED, wrong, index)

    def _activated(self, leaf: dict[str, Any]) -> str:
        """What is wrong with a grant: it is for exactly what people or broken glass gave it for."""
        glass = self._broken.get(_text(leaf, "gid"), {})
        if _text(leaf, "kind") == "breakglass" and any(leaf.get(name) != glass.get(name) for name in _GIVEN):
            return "no glass was broken for this grant"
        id = _text(leaf, "ap")
        wrong = self._spend(id, "grant", _text(leaf, "gid"), leaf) if id else ""
        return f"the grant rests on approval {id[:40]}, which {wrong}" if wrong else ""

    def _in_force(self, leaf: dict[str, Any]) -> str:
        """What is wrong with an activation: in two-person mode others approved it, in place of what was in force.

        The terms for the next are those of the configuration. One that was approved while another ran is read by the
        start that comes next.
        """
        last, id, unread = self._policy, _text(leaf, "ap"), self._unread
        known = leaf.get("cfg") == last.get("cfg")
        self._unread = bool(id) and (unread or not known)
        if _text(last, "mode") != "two-person":
            return ""
        turned = any(leaf.get(name) != last.get(name) for name in ("mode", "need"))
        if known and turned and (id or not unread):
            return "the same configuration has other terms for the next policy"
        if all(leaf.get(name) == last.get(name) for name in ("ph", "cfg")) and not id:
            return ""
        wrong = self._spend(id, "policy", f"policy {_text(leaf, 'ph')}", {})
        approval = self._authority_of_all.approvals.get(id)
        if approval is not None and not wrong:
            bound = {"matter": "policy", "policy": leaf.get("ph"), "configuration": leaf.get("cfg")}
            bound |= {"from": [last.get("ph"), last.get("cfg")], "by": approval.leaf.get("sub")}
            if hashlib.sha256(_encode(bound).encode()).hexdigest() != approval.digest:
                wrong = "was given for another policy, or in the place of another"
            elif _terms(approval.needs) != _terms([last.get("need")]):
                wrong = "did not need the people that it has to"
        return f"the policy rests on approval {id[:40]}, which {wrong}" if wrong else ""

    def _spend(self, id: str, matter: str, purpose: str, leaf: dict[str, Any]) -> str:
        """What is wrong with the approval that something rests on: it was used, for this and for nothing else."""
        approval = self._authority_of_all.approvals.get(id)
        if approval is None or approval.over != "used" or approval.leaf.get("matter") != matter:
            return "was not used for it"
        if any(leaf.get(name, "") != approval.leaf.get(name) for name in ("act", "res") if leaf):
            return "was given to somebody else, or for another resource"
        if approval.purpose not in ("", purpose):
            return "was used for something else"
        approval.purpose = purpose
        return ""

    def _forged(self, leaf: dict[str, Any], person: str, *action: str) -> str:
        """What is wrong with the signature that a leaf has, or should have: the person's own key, then, over this."""
        how = _text(leaf, "how")
        if how not in _SIGNED and "sig" not in leaf:
            return ""
        owner, method, public, _ = self._keys.get(_text(leaf, "key"), ("", "", "", 0))
        if (owner, method) != (person, how) or not public:
            return "with a key that was not enrolled for them then"
        try:
            signature, signed, key = (_base64(text) for text in (_text(leaf, "sig"), _text(leaf, "sgd"), public))
        except Fault:
            return "with a malformed signature"
        about = "\n".join(("tidegate action v1", *action))
        if about.count("\n") == len(action) and proof_holds(how, key, about.encode(), signature, signed):
            return ""
        return "with a signature that does not hold for it"

    def _operation(self, index: int, kind: str, leaf: dict[str, Any], session: Session | None) -> None:
        if session is None:
            self._say("intents", INCOMPLETE, "it is an operation of no session", index)
        elif kind == "op.intent":
            session.intents[index] = _text(leaf, "req")
            self._basis(index, leaf, session)
            if session.barred:
                self._say("grants", ALTERED, f"an operation, although {session.barred[:40]} had been ended", index)
        elif kind == "op.released":
            self._released(index, leaf, session)
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

    def _basis(self, index: int, leaf: dict[str, Any], session: Session) -> None:
        """The facts that policy looked at are sealed with this leaf, or with the one of its session that it names."""
        decision, sealed = leaf.get("dec"), leaf.get("c")
        at = decision.get("at", index) if isinstance(decision, dict) else index
        commitment = sealed.get("dec") if isinstance(sealed, dict) else None
        if at == index:
            session.basis[index] = commitment
        elif not isinstance(at, int) or session.basis.get(at, self) != commitment:
            self._say("intents", ALTERED, f"it rests on facts of leaf {at!r}"[:80] + ", which has not these", index)

    def _approval(self, index: int, kind: str, leaf: dict[str, Any]) -> None:
        id, step = _text(leaf, "ap"), kind.partition(".")[2]
        known = self._authority_of_all.approvals
        approval = known.get(id)
        wrong = ""
        if step == "requested":
            wrong = "is requested a second time" if approval else ""
            needs = leaf.get("need")
            known[id] = Approval(
                _text(leaf, "dg"),
                frozenset([*_subjects(leaf, "act"), *_subjects(leaf, "inv")]),
                needs if isinstance(needs, list) else [],
                {},
                leaf,
                _number(leaf, "exp"),
            )
        elif approval is None:
            wrong = f"is {step} but was not requested before"
        elif leaf.get("dg", approval.digest) != approval.digest:
            wrong = f"is {step} for something else than was requested"
        elif step == "granted":
            wrong = self._granted(approval, index, leaf)
        elif step == "used":
            wrong = self._used(approval, leaf)
        elif step == "escalated":
            wrong = self._escalated(approval, leaf)
        elif step not in ("shown", "tried"):
            approval.over = step
            self._permitted -= approval.released or frozenset()
        if wrong:
            self._say("approvals", ALTERED, f"approval {id[:40]} {wrong}", index)

    def _granted(self, approval: Approval, index: int, leaf: dict[str, Any]) -> str:
        """What is wrong with this yes; nothing else makes it count."""
        by = _text(leaf, "by")
        if by in approval.involved or self._same.get(by, by) in approval.involved:
            return "is granted by somebody who has a part in the request"
        if by not in self._people:
            return "is granted by nobody that the log knows"
        if by in self._others:
            return "is granted by somebody who is no person"
        if by in self._ended:
            return "is granted by somebody who is disabled"
        if approval.over:
            return f"is granted although it is {approval.over}"
        if wrong := self._forged(leaf, by, "approve", _text(leaf, "ap"), approval.digest):
            return f"is granted {wrong}"
        signed = _text(leaf, "how") in _SIGNED
        if signed:
            _, _, public, enrolled = self._keys[_text(leaf, "key")]
            digest = base64.b64encode(hashlib.sha256(_base64(public)).digest()).decode().rstrip("=")
            name = f"{by[:40]} SHA256:{digest} (leaf {enrolled})"
            self.signed[name] = self.signed.get(name, 0) + 1
        else:
            self.unsigned.append(index)
        approval.yes[self._same.get(by, by)] = (list(self._people[by]), signed)
        approval.expires = max(approval.expires, _number(leaf, "exp"))
        return ""

    def _used(self, approval: Approval, leaf: dict[str, Any]) -> str:
        if approval.over:
            return "is used a second time" if approval.over == "used" else f"is used although it is {approval.over}"
        approval.over, approval.session, approval.moment = "used", _text(leaf, "ses"), _number(leaf, "t")
        if not approval.yes:
            return "is used but was not granted before"
        if approval.moment > approval.expires + _EARLY:
            return "is used after its time"
        needs = [need for need in approval.needs if isinstance(need, dict)]
        places = [need for need in needs for _ in range(max(1, _number(need, "count")))]
        if not places:
            return "is used although it needed nobody"
        taken: dict[str, int] = {}
        for place in range(len(places)):
            if not _seat(place, places, approval, taken, set()):
                groups = " or ".join(sorted(_subjects(places[place], "groups")))[:80]
                return f"is used without enough different people of {groups}"
        return ""

    def _escalated(self, approval: Approval, leaf: dict[str, Any]) -> str:
        """Further groups may answer from so many seconds after the question on, and not before."""
        after = _number(leaf, "after")
        if _number(leaf, "t") + _EARLY < _number(approval.leaf, "t") + after * 1_000_000:
            return "is escalated before its time"
        approval.escalated = max(approval.escalated, after)
        return ""

    def _released(self, index: int, leaf: dict[str, Any], session: Session) -> None:
        """An operation goes on by an approval that was used for it, by its session, and for nothing else."""
        id, intents = _text(leaf, "ap"), leaf.get("of")
        approval = self._authority_of_all.approvals.get(id)
        if approval is None or (approval.session, approval.digest) != (_text(leaf, "sid"), _text(leaf, "dg")):
            wrong = "was not used for it"
        elif approval.moment > _number(leaf, "t") + _EARLY:
            wrong = "was used for it only later"
        elif approval.released is not None:
            wrong = "had released something before"
        else:
            own = {item for item in intents if item in session.intents} if isinstance(intents, list) else set()
            approval.released = frozenset(own)
            self._permitted |= own if approval.over == "used" else set()
            return
        self._say("approvals", ALTERED, f"an operation is released by approval {id[:40]}, which {wrong}", index)


def _terms(needs: Sequence[Any]) -> list[tuple[list[str], int]]:
    """Groups and numbers of approvers; where a policy names no group it is the administrators."""
    return [(_subjects(need, "groups") or ["admins"], _number(need, "count")) for need in needs if need]


def _seat(place: int, places: list[Any], approval: Approval, taken: dict[str, int], tried: set[str]) -> bool:
    """Find a person for a place, moving others along if need be: each counts once (bipartite matching)."""
    need = places[place]
    further = _subjects(need, "esc") if 0 < _number(need, "after") <= approval.escalated else []
    groups = {*_subjects(need, "groups"), *further}
    for person, (own, signed) in approval.yes.items():
        if person in tried or groups.isdisjoint(own) or (need.get("signed") is True and not signed):
            continue
        tried.add(person)
        if person not in taken or _seat(taken[person], places, approval, taken, tried):
            taken[person] = place
            return True
    return False


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
    "members": "every worker's log is there, and goes on from what the gateway's own log says of it",
}
"""The checks in the order of the report, and what it means that one holds."""


RECORDINGS = "rec/*/*/*/*.gwrec"
"""Where recordings lie below a data directory, or below that of a worker."""

_NAMED = 1000
"""Findings of one check that are told one by one; the others are counted."""


class Examination:
    """One pass over the log in one data directory: the gateway's own, or that of a worker, ``member`` by its origin.

    ``recorded``: there are recordings of the gateway at all, so that none may be missing.
    """

    def __init__(
        self,
        directory: Path,
        trust: Path | None,
        seen: Sequence[Path],
        authority: Authority,
        *,
        recorded: bool,
        member: str = "",
    ) -> None:
        self._directory = directory
        self._trust = trust
        self._seen = seen
        self._authority = authority
        self._recorded = recorded
        self._member = member
        self._told = authority.logs.get(member, [])
        self.findings: list[Finding] = []
        self.unproven: list[str] = []
        self.note = b""
        self._skipped = set() if seen else {"seen"}
        self._checkpoint: Checkpoint | None = None
        self._tree = Tree()
        self._named = ""
        self._wal: Wal | None = None
        self._counts: dict[str, int] = {}
        self._tally = ""

    def run(self) -> Report:
        """Everything that can be checked, in order."""
        try:
            log = self._find()
            checkpoint = self._checkpoint = read_checkpoint(self.note)
        except Fault as fault:
            self._skipped |= set(CHECKS) - {"checkpoint"}
            if not self.findings:
                self._say("checkpoint", ALTERED, f"the checkpoint cannot be read: {fault}")
            return self.report()
        kept = self._kept()
        self._read_wal(checkpoint)
        population = Population(self._say, self._authority, self._member)
        sizes = {seen.size for _, seen in kept} | {told.size for told in self._told}
        roots = self._read_entries(log, checkpoint.size, population, sizes)
        population.finish()
        self._read_unsealed_authority()
        self._compare_told(checkpoint, roots)
        self._read_recordings(population.sessions)
        self._compare_root(checkpoint)
        vkey = self._trusted(checkpoint)
        self._compare_signature(checkpoint, vkey)
        for path, seen in kept:
            self._compare_seen(path, seen, checkpoint, roots, vkey)
        self._say_what_is_open(population)
        self._say_what_is_signed(population)
        return self.report()

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

    def _read_unsealed_authority(self) -> None:
        """What no checkpoint covers yet may have opened a session that a worker's checkpoint covers already."""
        if self._wal is not None and not self._member:
            for entry in self._wal.tail:
                try:
                    leaf = read_entry(entry)
                except Fault:
                    continue
                self._authority.feed(_number(leaf, "i"), leaf)

    def _compare_told(self, checkpoint: Checkpoint, roots: dict[int, bytes]) -> None:
        """A worker's log has to begin with every checkpoint that the gateway's own log holds of it."""
        for told in self._told:
            where = f"leaf {told.leaf} of the gateway's own log"
            if told.size > checkpoint.size:
                what = f"truncated: {where} says {told.size} leaves, {checkpoint.size} are presented"
            elif base64.b64encode(roots.get(told.size, b"")).decode() != told.root:
                what = f"rewritten: the first {told.size} leaves do not have the root in {where}"
            elif told.vkey != self._named:
                what = f"it names another key than {where}"
            else:
                continue
            self._say("members", ALTERED, what)

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
        files = {path.name.removesuffix(".gwrec"): path for path in self._directory.glob(RECORDINGS)}
        wanted = {
            f"{sid}.{track}": (session, seal)
            for sid, session in sessions.items()
            for track, seal in session.seals.items()
        }
        if not self._recorded and wanted:
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
            return self._told[0].vkey if self._told else self._named
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
        if not keys and self._told:
            return self._told[0].vkey  # the gateway's own log, whose key is trusted, vouches for it
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

    def _say_what_is_signed(self, population: Population) -> None:
        signed, unsigned = population.signed, population.unsigned
        if signed or unsigned:
            told = f"{sum(signed.values())} yes signed, {len(unsigned)} not"
            self._tally = f"; {told}"
        if signed:
            listed = ", ".join([*signed][:20]) + (", ..." if len(signed) > 20 else "")
            self.unproven.append(f"That the keys of signed yes are their approvers' is for these to say: {listed}.")
        if unsigned:
            listed = ", ".join(map(str, unsigned[:20])) + (", ..." if len(unsigned) > 20 else "")
            self.unproven.append(
                f"Without a signature of its approver a yes is the gateway's word alone: leaves {listed}."
            )

    def _say_what_is_open(self, population: Population) -> None:
        if self._wal is not None and self._wal.tail:
            self.unproven.append(f"{len(self._wal.tail)} leaves are not yet sealed: no checkpoint covers them.")
        waiting = population.open
        if waiting:
            listed = ", ".join(map(str, waiting[:20]))
            self.unproven.append(f"{len(waiting)} intents of open sessions have no outcome yet: leaves {listed}.")
        if self._member:
            self.unproven = [f"{self._member}: {sentence}" for sentence in self.unproven]
            return
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

    def lacks(self, sentence: str) -> None:
        """Something is wrong with the logs of workers that a pass over one log does not see."""
        self._say("members", ALTERED, sentence)

    def _say(self, check: str, status: int, sentence: str, index: int | None = None) -> None:
        self._counts[check] = self._counts.get(check, 0) + 1
        if self._counts[check] <= _NAMED or status not in {f.status for f in self.findings if f.check == check}:
            self.findings.append(Finding(check, status, sentence, index, self._member))

    def report(self) -> Report:
        """What was found so far."""
        checks = []
        for name, holds in CHECKS.items():
            found = [finding for finding in self.findings if finding.check == name]
            if found:
                more = f" (and {self._counts[name] - 1} more)" if self._counts[name] > 1 else ""
                checks.append(Check(False, name, f"{found[0]}{more}"))
            elif name not in self._skipped:
                checks.append(Check(True, name, holds + (self._tally if name == "approvals" else "")))
        checkpoint = self._checkpoint or Checkpoint("", "", 0, b"", [])
        return Report(checkpoint.origin, checkpoint.size, checkpoint.root.hex(), checks, self.findings, self.unproven)


def verify(directory: Path, *, trust: Path | None = None, seen: Sequence[Path] = ()) -> Report:
    """Check a data directory, or a copy of it, against the trust policy and the checkpoints kept elsewhere."""
    for _ in range(5):
        try:
            before = _notes(directory)
            report = _examine(directory, trust, seen)
            moved = _notes(directory) != before
        except Exception as error:  # whatever was done to the files, the answer is a finding, not a traceback
            finding = Finding("checkpoint", ALTERED, f"the log cannot be read: {type(error).__name__}: {error}")
            return Report("", 0, "", [Check(False, "checkpoint", str(finding))], [finding], [])
        if not (report.status and moved):  # a running gateway may replace files while they are read: look again
            break
    return report


def _notes(directory: Path) -> list[tuple[Path, bytes]]:
    """Every checkpoint that is there now."""
    paths = sorted([*directory.glob("log/*/checkpoint"), *directory.glob("workers/*/log/*/checkpoint")])
    return [(path, _read(path)) for path in paths if path.is_file()]


def _examine(directory: Path, trust: Path | None, seen: Sequence[Path]) -> Report:
    """The gateway's own log, then those of its workers, which rest on it."""
    found = [(_origin(path), path) for path in sorted(directory.glob("workers/*")) if any(path.glob("log/*"))]
    workers = dict(found)
    kept = {path: _seen_origin(path) for path in seen}
    authority = Authority()
    recorded = any(directory.glob(RECORDINGS)) or any(directory.glob(f"workers/*/{RECORDINGS}"))
    others = [path for path in seen if kept[path] not in workers]
    own = Examination(directory, trust, others, authority, recorded=recorded)
    own.run()
    for origin, told in authority.logs.items():
        if origin not in workers:
            most = max(told, key=lambda each: each.size)
            own.lacks(f"the log {origin[:200]} is missing: leaf {most.leaf} says {most.size} leaves")
    reports = []
    for origin, path in found:
        if workers[origin] != path:
            own.lacks(f"{path} and {workers[origin]} hold the same log")
        if origin not in authority.logs:
            own.lacks(f"{path} holds a log that the gateway's own log does not name: {origin[:200]}")
            continue
        ours = [file for file in seen if kept[file] == origin]
        reports.append(Examination(path, trust, ours, authority, recorded=recorded, member=origin).run())
    return _together(own.report(), reports)


def _origin(path: Path) -> str:
    """What the newest checkpoint of a worker's directory names, or where it should be."""
    note = max(path.glob("log/*")) / "checkpoint"
    return _read(note).partition(b"\n")[0].decode(errors="replace") if note.is_file() else str(note)


def _seen_origin(path: Path) -> str:
    """Which log a kept checkpoint is of; empty when that cannot be told."""
    try:
        return read_checkpoint(_read(path)).origin
    except (Fault, OSError):
        return ""


def _together(own: Report, members: list[Report]) -> Report:
    """One report: a check holds when it holds for every log, ``seen`` for every one of which something was kept."""
    checks = []
    for name in CHECKS:
        found = [check for report in (own, *members) for check in report.checks if check.name == name]
        if len(found) > len(members) or any(not check.ok for check in found) or (found and name == "seen"):
            checks.append(next((check for check in found if not check.ok), found[0]))
    findings = [*own.findings, *(finding for report in members for finding in report.findings)]
    unproven = [*(sentence for report in members for sentence in report.unproven), *own.unproven]
    logs = [(report.origin, report.size, report.root) for report in members]
    return Report(own.origin, own.size, own.root, checks, findings, unproven, logs)


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
    for origin, size, root in report.members:
        lines.append(f"The log {origin or '(unnamed)'} of a worker has {size} leaves, root {root}.")
    whole = ", with those of its workers," if report.members else ""
    log = f"The log {report.origin or '(unnamed)'} of {report.size} leaves, root {report.root},{whole} {verdict}."
    lines.append(log.replace(",,", ","))
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
