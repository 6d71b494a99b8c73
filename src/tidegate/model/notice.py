"""What people are told outside of the gateway, in no channel's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

WAITING, SENT, FAILED, DROPPED = "waiting", "sent", "failed", "dropped"
"""States of a letter: to be sent, taken by its receiver, given up, pushed out by more urgent ones."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of one thing. ``about`` is the thing's id, ``event`` what happened, such as ``approval.waiting``.

    ``facts`` are pairs of a word and a value; ``statement`` has no values in it, ``reason`` is stated by who asks and
    leaves the house only if settings say so. ``line`` says in one sentence what happened. ``open`` says that an answer
    is waited for; ``direct`` that it may be given by a button, for exactly ``digest``. ``moment`` in Unix microseconds.
    """

    id: str
    about: str
    event: str
    title: str
    line: str
    moment: int
    urgent: bool = False
    facts: tuple[tuple[str, str], ...] = ()
    statement: str = ""
    reason: str = ""
    link: str = ""
    open: bool = False
    direct: bool = False
    digest: str = ""

    def written(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def notice_of(written: Mapping[str, Any]) -> Notice:
    """What ``Notice.written`` gave."""
    return Notice(**{**written, "facts": tuple((str(word), str(value)) for word, value in written["facts"])})


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice on its way to one channel; ``body`` is sealed. ``due`` and ``made`` in Unix microseconds.

    ``id`` is CHANNEL.ABOUT.CHANGE, the same whenever the same is told again. ``error`` is why the last of its
    ``attempts`` failed, in a word.
    """

    id: str
    channel: str
    body: bytes = field(repr=False)
    state: str
    attempts: int
    due: int
    error: str
    made: int

    @property
    def about(self) -> str:
        """The id of what it is about."""
        return self.id.split(".")[1]
