"""What sensitive values look like, wherever they stand: the third line of defence, for text that has no tag.

One pass of hyperscan over a block says whether anything in it can be a finding; only then is each value searched with
exact expressions, and what has a check digit, a length or a range by its standard is checked (``detector_checks``).

Detection is a net, not a proof: digits that are not ASCII, values that are split, encoded or spelled out pass it. What
must never be seen has a tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import hyperscan

from tidegate.model.operation import Shape, Transform

from .detector_checks import card, iban, phone, ssn
from .tags import covers
from .transforms import transform

OVERLAP: Final = 4096
"""Bytes of the longest value that is found: who scans a stream in pieces keeps so many back."""

_GAP = rb"(?:[ .\-]|\xc2\xa0)"
"""What may stand between digits: a blank, a dot, a dash, or a blank that does not break."""

_BETWEEN = rb"(?:" + _GAP + rb"|[()]|[ .\-][()]|[()][ .\-])?"
"""The same between the digits of a phone number, which may have an area in brackets."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Bytes ``start`` to ``end`` of a value look like what ``tag`` names."""

    start: int
    end: int
    tag: str


@dataclass(frozen=True, slots=True)
class _Detector:
    """``gate`` is a cheap expression that is true of every block with a finding; ``exact`` finds, ``check`` decides."""

    tag: str
    gate: bytes
    exact: re.Pattern[bytes]
    check: Callable[[bytes], bool] | None = None


def _detector(tag: str, gate: bytes, exact: bytes, check: Callable[[bytes], bool] | None = None) -> _Detector:
    return _Detector(tag, gate, re.compile(exact), check)


def _key(prefix: bytes, rest: bytes, tag: str = "secret.key") -> _Detector:
    return _detector(tag, prefix + rb"[A-Za-z0-9_.\-]{8}", rb"(?<![A-Za-z0-9_])" + prefix + rest)


_DETECTORS: Final = (
    _detector(
        "secret.key",
        rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY",
        rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----[^-]{0,3900}"
        rb"(?:-----END [A-Z ]{0,20}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    _key(rb"eyJ", rb"[A-Za-z0-9_\-]{8,1000}\.eyJ[A-Za-z0-9_\-]{8,2000}\.[A-Za-z0-9_\-]{0,800}", "secret.token"),
    _key(rb"(?:AKIA|ASIA|ABIA|ACCA)", rb"[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _key(rb"gh[pousr]_", rb"[A-Za-z0-9]{36,255}", "secret.token"),
    _key(rb"github_pat_", rb"[A-Za-z0-9_]{22,255}", "secret.token"),
    _key(rb"glpat-", rb"[A-Za-z0-9_\-]{20,64}", "secret.token"),
    _key(rb"xox[abeoprs]-", rb"[A-Za-z0-9\-]{10,255}", "secret.token"),
    _key(rb"(?:sk|rk|pk)_(?:live|test)_", rb"[A-Za-z0-9]{16,255}"),
    _key(rb"sk-(?:ant-|proj-)?", rb"[A-Za-z0-9_\-]{32,255}"),
    _key(rb"AIza", rb"[A-Za-z0-9_\-]{35}"),
    _key(rb"npm_", rb"[A-Za-z0-9]{36}", "secret.token"),
    _key(rb"pypi-", rb"AgE[A-Za-z0-9_\-]{32,1000}", "secret.token"),
    _key(rb"SG\.", rb"[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{16,64}"),
    _detector(
        "pii.email",
        rb"[A-Za-z0-9._%+\-]@[A-Za-z0-9]",
        rb"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9_%+](?:[A-Za-z0-9._%+\-]{0,62}[A-Za-z0-9_%+\-])?@"
        rb"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9\-])",
    ),
    _detector(
        "pii.iban",
        rb"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}",
        rb"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:(?: |\xc2\xa0)?[A-Z0-9]){11,30}(?![A-Za-z0-9])",
        iban,
    ),
    _detector(
        "pii.card",
        rb"[0-9](?:" + _GAP + rb"?[0-9]){12}",
        rb"(?<![A-Za-z0-9])[2-6][0-9]{3}(?:" + _GAP + rb"?[0-9]){9,15}(?![A-Za-z0-9])",
        card,
    ),
    _detector(
        "pii.ssn",
        rb"[0-9]{3}[ \-][0-9]{2}[ \-][0-9]{4}",
        rb"(?<![A-Za-z0-9\-])[0-9]{3}([ \-])[0-9]{2}\1[0-9]{4}(?![A-Za-z0-9\-])",
        ssn,
    ),
    _detector(
        "pii.phone",
        rb"\+[0-9]{1,3}" + _GAP + rb"?\(?[0-9]|[0-9]{3}\)?" + _GAP + rb"?[0-9]{3}" + _GAP + rb"[0-9]{4}",
        rb"(?<![A-Za-z0-9+])(?:\+[0-9]{1,3}" + _BETWEEN + rb"[0-9](?:" + _BETWEEN + rb"[0-9]){5,13}"
        rb"|(?:1" + _GAP + rb")?(?:\([2-9][0-9]{2}\)|[2-9][0-9]{2})" + _GAP + rb"?"
        rb"[2-9][0-9]{2}" + _GAP + rb"[0-9]{4})(?![A-Za-z0-9])",
        phone,
    ),
)  # fmt: skip

KNOWN: Final = tuple(sorted({detector.tag for detector in _DETECTORS}))
"""The tags of what is looked for."""


class Detectors:
    """Finds and masks; a ``Transform``. Event loop only. ``key`` has 32 bytes."""

    def __init__(self, prefixes: Sequence[str], lifted: frozenset[str], key: bytes) -> None:
        self._chosen = _chosen(tuple(sorted(prefixes)), lifted)
        self._gate = _gate(self._chosen)
        self._masks: dict[str, Transform] = {
            tag: transform(tag, Shape.TEXT, key, whole=False) for tag in {each.tag for each in self._chosen}
        }
        self._hits = 0

    @property
    def looking(self) -> bool:
        """Whether anything is looked for."""
        return self._gate is not None

    @property
    def json(self) -> Transform:
        """The same for text that is JSON."""
        return JsonDetectors(self)

    def suspicious(self, block: bytes) -> bool:
        """Whether anything in a block can be a finding; False proves that none is."""
        if self._gate is None or not block:
            return False
        self._hits = 0
        self._gate.scan(block, match_event_handler=self._hit)
        return self._hits > 0

    def _hit(self, _id: int, _start: int, _end: int, _flags: int, _context: object) -> None:
        self._hits += 1

    def find(self, value: bytes) -> list[Finding]:
        """What is found, in order; none overlaps another."""
        found: list[Finding] = []
        for detector in self._chosen:
            for match in detector.exact.finditer(value):
                if detector.check is not None and not detector.check(match[0]):
                    continue
                if all(match.end() <= one.start or one.end <= match.start() for one in found):
                    found.append(Finding(match.start(), match.end(), detector.tag))
        return sorted(found, key=lambda one: one.start)

    def __call__(self, value: bytes) -> bytes:
        """The value with a mask in place of each finding; the very same object when there is none."""
        if not self.suspicious(value):
            return value
        parts, at = [], 0
        for one in self.find(value):
            parts += [value[at : one.start], self._masks[one.tag](value[one.start : one.end]) or b""]
            at = one.end
        return b"".join([*parts, value[at:]]) if parts else value


class JsonDetectors:
    """The same for text that is JSON and must remain so: a number that is found becomes a string."""

    def __init__(self, inner: Detectors) -> None:
        self._inner = inner
        self.suspicious = inner.suspicious

    def __call__(self, value: bytes) -> bytes:
        """The value with a mask in place of each finding; the very same object when there is none."""
        if not self._inner.suspicious(value):
            return value
        return _STRING_OR_NUMBER.sub(self._masked, value) if self._inner.find(value) else value

    def _masked(self, part: re.Match[bytes]) -> bytes:
        text = part[0]
        clean = self._inner(text)
        return clean if clean is text or text.startswith(b'"') else b'"' + clean + b'"'


_STRING_OR_NUMBER: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+\-]*', re.DOTALL)


@lru_cache(maxsize=256)
def detectors(prefixes: tuple[str, ...], lifted: frozenset[str], key: bytes) -> Detectors | None:
    """Made once for each set of tags; ``None`` when nothing is looked for."""
    made = Detectors(prefixes, lifted, key)
    return made if made.looking else None


def _chosen(prefixes: tuple[str, ...], lifted: frozenset[str]) -> tuple[_Detector, ...]:
    wanted = (each for each in _DETECTORS if any(covers(prefix, each.tag) for prefix in prefixes))
    return tuple(each for each in wanted if not any(covers(prefix, each.tag) for prefix in lifted))


@lru_cache(maxsize=64)
def _gate(chosen: tuple[_Detector, ...]) -> hyperscan.Database | None:
    if not chosen:
        return None
    database = hyperscan.Database()
    flags = hyperscan.HS_FLAG_SINGLEMATCH
    database.compile(
        expressions=[each.gate for each in chosen], ids=list(range(len(chosen))), flags=[flags] * len(chosen)
    )
    return database
