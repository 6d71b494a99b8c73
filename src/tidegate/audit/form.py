"""Leaves that are alike but for a few numbers and commitments, encoded once and then only filled in.

Why: most leaves of a busy session say the same in all but when, where and how much, and encoding them anew costs more
than everything else about them. Invariant: a filled form is, byte for byte, what ``encode`` makes of the same leaf.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from secrets import randbits, token_bytes
from typing import TypeAlias

from tidegate.model.event import Json

from .entry import LARGEST, encode

OWN = ("i", "t", "m")
"""Numbers of every leaf that the log itself fills in."""


Values: TypeAlias = "tuple[int | bytes, ...]"


class Form:
    """Canonical bytes with gaps: ``template`` is a %-format, ``pick`` brings values into its order."""

    def __init__(self, template: bytes, pick: Callable[[Values], Values]) -> None:
        self.template = template
        self.pick = pick

    @classmethod
    def of(cls, leaf: Mapping[str, Json], slots: Sequence[str], compartments: Sequence[str]) -> Form:
        """A form of ``leaf`` with gaps for the numbers ``slots`` (``a.b`` is key b of the object under a) and for
        commitments. Raises ValueError when the leaf cannot be written.
        """
        # Random, so that nobody can put one into a text.
        marks = {name: str(2**52 + randbits(52)) for name in (*OWN, *slots)}
        filled = dict(leaf)
        for name, mark in marks.items():
            outer, _, inner = name.rpartition(".")
            if outer:
                filled[outer] = {**_object(filled.get(outer)), inner: int(mark)}
            else:
                filled[inner] = int(mark)
        if compartments:
            stands: dict[str, str] = {name: b64encode(token_bytes(32)).decode() for name in compartments}
            filled["c"] = {**_object(filled.get("c")), **stands}
            marks |= stands
        return cls(*_cut(encode(filled), list(marks.values())))

    def fill(self, values: Values) -> bytes:
        """The entry with these values: those of ``OWN``, the slots' numbers (below 2^53), base64 commitments."""
        entry = self.template % self.pick(values)
        if len(entry) > LARGEST:
            raise ValueError(f"the leaf has {len(entry)} bytes; {LARGEST} are the most")
        return entry


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _cut(entry: bytes, marks: Sequence[str]) -> tuple[bytes, Callable[[Values], Values]]:
    template = entry.replace(b"%", b"%%")
    places = []
    for mark in marks:
        if entry.count(mark.encode()) != 1:
            raise ValueError("the leaf holds what stands for a gap")
        places.append(entry.index(mark.encode()))
        template = template.replace(mark.encode(), b"%d" if mark.isdigit() else b"%b")
    return template, itemgetter(*sorted(range(len(marks)), key=places.__getitem__))
