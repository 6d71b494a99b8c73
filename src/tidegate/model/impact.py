"""What an operation that waits for people would do, as far as that can be told before it runs.

An estimate runs nothing. A dry run does what is asked and takes it back. Neither speaks for what it could not look at:
``unknown`` says why nothing can be told, ``notes`` what is not in what is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Attempt:
    """Exactly what is asked: one statement with its bound values, and what the session that asks said of itself.

    ``parameters`` and ``declared`` are those of ``Operation``; ``context`` is the canonical JSON of the answers to
    ``Schema.definitions``.
    """

    text: str
    parameters: bytes
    declared: bytes
    context: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows, as text: tagged fields are masked, and long values are cut."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str | None, ...]]


@dataclass(frozen=True, slots=True)
class Impact:
    """How many rows it would give or change; ``exact`` if it was tried, else by the resource's own estimate.

    ``objects`` are those that it would read or change. ``sample_before`` shows rows as they are, ``sample_after`` as
    they would be, or as a read would give them. With ``unknown``, everything else is empty
    but ``values``: the bound values as people read them.
    """

    rows: int | None = None
    exact: bool = False
    objects: tuple[str, ...] = ()
    sample_before: Sample | None = None
    sample_after: Sample | None = None
    unknown: str = ""
    notes: tuple[str, ...] = ()
    values: tuple[str, ...] = field(default=(), repr=False)
