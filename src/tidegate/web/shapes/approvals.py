"""What people are asked, what it would do, and what they say."""

from __future__ import annotations

from pydantic import Field

from .base import Asked, Given, Proving, Reason


class Answer(Asked):
    """Why somebody says no, or ends a session."""

    reason: Reason = ""


class ChainHop(Given):
    """One hop of a delegation chain, and how it was proven."""

    name: str
    subject: str
    kind: str
    proof: str


class YesView(Given):
    """One person's yes: ``method`` is how they proved that it was them, ``signed`` whether their own key signed it."""

    name: str
    subject: str
    at: int
    method: str
    signed: bool


class HeldView(Given):
    """What people are asked, as they must see it; ``reason`` is what ``stated_by`` claims.

    ``matter`` is ``operation``, ``grant`` or ``policy``. ``chain`` are the names from the accountable person to the one
    that acts. ``objects`` are what the statement reads and writes. ``expires`` is the end of the time to answer, and,
    once approved, of the time to use it. A list has neither statement nor parameters of what is over.
    """

    id: str
    matter: str
    sid: str
    state: str
    who: str
    chain: list[ChainHop]
    subjects: list[str]
    resource: str
    statement: str = ""
    parameters: str = ""
    command: list[str] = []
    objects: list[str] = []
    reason: str = ""
    stated_by: str = ""
    rule: str
    because: str = ""
    needs: list[str] = []
    approved_by: list[str]
    yes: list[YesView] = []
    asked: int
    expires: int
    escalated: bool = False
    digest: str
    bundle: str
    answer: str = ""
    may_answer: bool = False


class SampleView(Given):
    """Some rows, as text; what is sensitive is masked, long values are cut, null is null."""

    columns: list[str]
    rows: list[list[str | None]]


class ImpactView(Given):
    """What a statement would do: ``rows`` that it gives or changes, ``exact`` if it was tried, else an estimate.

    ``before`` are rows as they are, ``after`` as they would be, or as a read would give them. ``unknown`` says why
    nothing can be told, ``notes`` what is not in what is told. ``values`` are the bound values, in order.
    """

    rows: int | None = None
    exact: bool = False
    objects: list[str] = []
    before: SampleView | None = None
    after: SampleView | None = None
    unknown: str = ""
    notes: list[str] = []
    values: list[str] = []


class Decision(Asked):
    """A yes or a no: ``proof`` proves that the person is there (see /api/v1/me/credentials), ``reason`` is for a no."""

    proof: Proving = Field(default_factory=dict)
    reason: Reason = ""


class NoticeView(Given):
    """A notice to one channel, without what it says. ``state`` is ``waiting``, ``sent``, ``failed`` or ``dropped``.

    ``about`` is the id of what it is about; ``error`` says why the last attempt failed.
    """

    id: str
    channel: str
    about: str
    state: str
    attempts: int
    due: int
    error: str
    made: int
