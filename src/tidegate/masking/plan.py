"""Which result columns are masked, and which statements masks could not protect and so are refused.

Invariants: a tagged field is masked unless its tag is lifted; a column is clear only if it is proven that no tagged
value flows into it; what cannot be proven counts as touching everything. Reasons name no field and no tag, because a
view's columns are not the agent's to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.model.operation import Column, Facts, Output, Shape, Transform, Verb
from tidegate.model.resource import Field

from .tags import Tags, covers
from .transforms import MARKER, transform

_MARKER = MARKER.encode()
RETURNED = "a mask is not a value: it is never accepted back on a write"
DETECTED = "detected"
"""In place of a tag, for a column that is searched for sensitive values."""
UNKNOWN = "unknown"
"""The tag of a column whose sources could not be followed."""


@dataclass(frozen=True, slots=True)
class Masking:
    """One masked column: its tag, the field (or column) to count it under, and what becomes of its values."""

    tag: str
    field: str
    transform: Transform


class Scan(Protocol):
    """What looks into text that no tag protects, and into text that is JSON (``masking.detectors``)."""

    def __call__(self, value: bytes) -> bytes:
        """The value without what was found; the same object if nothing was."""

    @property
    def json(self) -> Transform:
        """The same for JSON."""


def plan(
    columns: Sequence[Column],
    facts: Facts,
    tags: Tags,
    lifted: frozenset[str],
    key: bytes,
    scan: Scan | None = None,
) -> list[Masking | None] | None:
    """A masking per column, ``None`` where it is clear; ``None`` alone when every column is. ``key`` has 32 bytes."""
    outputs = facts.outputs if facts.outputs is not None and len(facts.outputs) == len(columns) else None
    maskings = [
        _masking(column, outputs[index] if outputs else None, facts, tags, lifted, key)
        or _scanning(scan, column.shape, str(column.origin or column.name))
        for index, column in enumerate(columns)
    ]
    return maskings if any(maskings) else None


def masking(
    field: Field | None,
    shape: Shape,
    facts: Facts,
    tags: Tags,
    lifted: frozenset[str],
    key: bytes,
    scan: Scan | None = None,
) -> Masking | None:
    """The masking of one field of a result that is no table, ``None`` where it is clear; ``field`` None: untraced."""
    if field is None and tags.any and _doubtful(facts, tags):
        return Masking(UNKNOWN, UNKNOWN, transform(UNKNOWN, shape, key, whole=True))
    tag = _kept(field, tags, lifted) if field is not None else None
    if tag is not None:
        return Masking(tag, str(field), transform(tag, shape, key, whole=False))
    return _scanning(scan, shape, str(field or UNKNOWN))


def _scanning(scan: Scan | None, shape: Shape, name: str) -> Masking | None:
    """What no tag protects is looked into."""
    if scan is None or shape is Shape.OTHER:
        return None
    return Masking(DETECTED, name, scan.json if shape is Shape.JSON else scan)


def _masking(
    column: Column, output: Output | None, facts: Facts, tags: Tags, lifted: frozenset[str], key: bytes
) -> Masking | None:
    origin = column.origin
    if origin is not None and (tag := _kept(origin, tags, lifted)) is not None:
        return Masking(tag, str(origin), transform(tag, column.shape, key, whole=False))
    sources = output.sources if output is not None else None
    for source in sorted(sources or ()):
        if (tag := _kept(source, tags, lifted)) is not None:
            return Masking(tag, str(source), transform(tag, column.shape, key, whole=True))
    proven = origin is not None or sources is not None or not _doubtful(facts, tags)
    if column.unknown or not proven:
        return Masking(UNKNOWN, column.name, transform(UNKNOWN, column.shape, key, whole=True))
    return None


def _kept(field: Field, tags: Tags, lifted: frozenset[str]) -> str | None:
    """The tag that masks ``field``, if any."""
    tag = tags.tag(field)
    return None if tag is None or any(covers(prefix, tag) for prefix in lifted) else tag


def _doubtful(facts: Facts, tags: Tags) -> bool:
    # Something with an effect may call what reads anything, so that only a proven read is clear without lineage.
    return facts.effect or facts.verb is Verb.UNKNOWN or _touching(facts, tags)


def _touching(facts: Facts, tags: Tags) -> bool:
    """Whether the statement touches a tagged object, or objects that nobody could resolve."""
    return _unresolved(facts) or _touches(facts, tags)


def _touches(facts: Facts, tags: Tags) -> bool:
    return tags.touched((*facts.reads, *facts.writes))


def _unresolved(facts: Facts) -> bool:
    return bool(facts.details.get("unresolved"))


def objection(facts: Facts, tags: Tags, lifted: frozenset[str]) -> str | None:
    """Why the statement must not be forwarded although policy allows it; ``None`` when nothing speaks against it.

    It is the same whatever the values are; ``mask_returned`` looks at those.
    """
    # Rule 3 of the design: the unknown goes ahead where policy names it, and then policy answers for what it touches.
    touching = _touches(facts, tags) or (facts.verb is not Verb.UNKNOWN and _unresolved(facts))
    if touching and None in (facts.filters, facts.flows) and not _touches(facts, tags):
        return "it names what the gateway does not know, so that masked fields could not be protected"
    if _masked_any(facts.filters, touching, tags, lifted):
        return "a masked field may not decide which rows come back, nor how they are ordered, grouped or joined"
    if _spills(facts, touching, tags, lifted):
        return "a masked field may not be copied to where it would be readable"
    if facts.bulk and _bulk_shows(facts, tags, lifted):
        return "bulk output cannot be masked, and it may hold a masked field"
    return None


def mask_returned(facts: Facts, parameters: bytes) -> str | None:
    """Why these values may not be written: there is a mask among them; ``None`` when nothing speaks against it."""
    if facts.effect and (MARKER in facts.text or _MARKER in parameters):
        return RETURNED
    return None


def returned(tail: bytes, data: bytes) -> bool:
    """Whether a mask begins in ``data`` or in the ``tail`` of what came before it."""
    return _MARKER in data or _MARKER in tail + data[: len(_MARKER)]


def _masked_any(fields: Iterable[Field] | None, unknown: bool, tags: Tags, lifted: frozenset[str]) -> bool:
    if fields is None:
        return unknown
    return any(_kept(field, tags, lifted) is not None for field in fields)


def _spills(facts: Facts, touching: bool, tags: Tags, lifted: frozenset[str]) -> bool:
    if facts.flows is None:
        return touching
    return any(
        _kept(source, tags, lifted) is not None and _kept(target, tags, lifted) is None
        for source, target in facts.flows
    )


def _bulk_shows(facts: Facts, tags: Tags, lifted: frozenset[str]) -> bool:
    if facts.outputs is None:
        return _doubtful(facts, tags)
    return any(_masked_any(output.sources, _doubtful(facts, tags), tags, lifted) for output in facts.outputs)


def conceal(facts: Facts, tags: Tags, reach: Callable[[str], frozenset[str]]) -> bool:
    """Whether error and notice texts must be reduced: they could name values of tagged fields.

    So it is when the statement touches a tagged object, when an error of what it writes could name one (``reach``: the
    object's neighbours by foreign key), and when it is unknown what it does, or what triggers it fires do.
    """
    several = facts.details.get("verbs")
    verbs = {facts.verb, *(several if isinstance(several, (list, tuple)) else ())}
    fires = bool(facts.details.get("reactive"))
    if fires or Verb.UNKNOWN in verbs or Verb.EXECUTE in verbs or _touching(facts, tags):
        return True
    return any(tags.touched(reach(name)) for name in facts.writes)
