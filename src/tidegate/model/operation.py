"""What is asked, in no protocol's words.

``Facts`` are what a parser says about one statement or command; they are pure, frozen and may be cached by exact text.
An ``Operation`` is one asking of it: facts plus the parameters at hand. A ``Request`` is raw bytes plus the operations
in them, the smallest unit that may be forwarded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from .resource import Field
from .verdict import Refuse


class Verb(StrEnum):
    """What an operation does; policy's ``may`` lists these."""

    READ = "read"
    WRITE = "write"
    DEFINE = "define"
    EXECUTE = "execute"
    SESSION = "session"
    ADMINISTER = "administer"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Output:
    """One result column and the base fields its value is computed from.

    ``sources`` is ``None`` when the flow could not be followed: then the column counts as touching everything.
    An empty set means that no stored value flows into it (a constant, ``count(*)``).
    """

    name: str
    sources: frozenset[Field] | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the parser says about one statement.

    ``effect`` is False only if the statement is proven to change nothing (rule 1 of the design): in doubt it is True.
    ``outputs`` is ``None`` when the result columns could not be enumerated. ``filters`` are the fields a predicate,
    ordering, grouping or join looks at, ``None`` when that could not be followed. ``flows`` are (source, target) pairs
    of fields that a write copies, ``None`` when unknown. ``details`` holds further policy facts: ``unbounded``,
    ``multi``, ``setting``, ``functions`` and the like, JSON values only.
    """

    verb: Verb
    command: str
    text: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    effect: bool = True
    outputs: tuple[Output, ...] | None = None
    filters: frozenset[Field] | None = None
    flows: frozenset[tuple[Field, Field]] | None = frozenset()
    bulk: bool = False
    details: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""


STREAMED = b"streamed"
"""In place of parameters that are too large to be held: they follow the request that was judged."""


@dataclass(eq=False, slots=True)
class Operation:
    """One asking of ``facts``; compared by identity.

    ``parameters`` is a canonical encoding of the bound values for the record (empty when there are none), and
    ``phase`` is ``execute``, or ``prepare`` when the statement is only handed over for later.
    """

    facts: Facts
    parameters: bytes = b""
    phase: str = "execute"


@dataclass(eq=False, slots=True)
class Request:
    """Raw bytes plus the operations in them.

    ``continues`` marks bytes that belong to an operation already allowed (COPY data, the rest of a streamed
    parameter): they are recorded and forwarded under its permit, never judged again. ``farewell`` marks the agent's
    own goodbye.
    """

    raw: bytes
    operations: tuple[Operation, ...] = ()
    continues: bool = False
    farewell: bool = False


class Shape(StrEnum):
    """What a masked value must look like so that the agent's decoder accepts it."""

    TEXT = "text"
    JSON = "json"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result as the upstream describes it; ``origin`` is the base field if the upstream names one.

    ``unknown`` is True when the upstream names an origin that the catalog does not know.
    """

    name: str
    shape: Shape
    origin: Field | None = None
    unknown: bool = False


Transform = Callable[[bytes], bytes | None]
"""A mask: clear value to masked value; ``None`` means the protocol's null."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended: ``status`` is ok, error, refused or indeterminate; ``code`` the upstream's error code."""

    status: str
    code: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The gateway's own answer: bytes to the agent, and bytes that keep the upstream in step."""

    to_agent: bytes
    to_resource: bytes = b""


class Results(Protocol):
    """What a wire tells the session while a reply passes. Synchronous."""

    def columns(self, operation: Operation, columns: Sequence[Column]) -> Sequence[Transform | None] | None:
        """Masks per column, asked once per result set; ``None`` lets the rows pass untouched."""

    def rows(self, operation: Operation, count: int, size: int, masked: Sequence[int]) -> bool:
        """``count`` rows of ``size`` bytes passed, ``masked[k]`` values replaced in column k. False: no more rows."""

    def conceal(self, operation: Operation | None) -> bool:
        """Whether error and notice texts must be reduced to their code and a fixed sentence."""

    def done(self, operation: Operation, outcome: Outcome) -> None:
        """The reply to ``operation`` is complete."""

    def changed(self, setting: str, value: str) -> None:
        """The upstream reports a setting; raises ResourceError if it breaks rule 9."""


class Wire(Protocol):
    """One per session, both directions, sans-I/O.

    ``pending`` counts forwarded requests whose reply is not complete (endless replies do not count); ``buffered`` is
    the number of the agent's bytes held because they do not make a request yet. ``settled`` is False while a
    transaction is open upstream, so that what it defines is not yet visible to others. ``waiting``: what the agent sent
    can only be understood after the next responses; then ask for requests again.
    """

    pending: int
    buffered: int
    settled: bool

    @property
    def waiting(self) -> bool:
        """See above."""

    def requests(self, data: bytes) -> Iterator[Request]:
        """Take in bytes of the agent and yield the requests they complete, lazily.

        The iterator may be dropped at any point; the next call (``data`` may be empty) goes on where it stopped.
        Each request is either forwarded or refused before the next is pulled. Raises AgentError on garbage.
        """

    def forward(self, request: Request) -> bytes:
        """The bytes to write upstream for an allowed request; from now on its reply is expected."""

    def responses(self, data: bytes, results: Results) -> bytes:
        """Take in bytes of the upstream and give what the agent may see; with no mask, the very bytes.

        Raises ResourceError when the upstream does not keep to its protocol.
        """

    def refuse(self, request: Request, refusal: Refuse) -> Reply:
        """The answer to a refused request, which keeps the stream in step. Called only while ``pending`` is 0."""

    def notice(self, text: str) -> bytes:
        """A message for people that may be sent at any time while a request is held; empty if there is no such."""

    def goodbye(self, refusal: Refuse) -> bytes:
        """A fatal error in the protocol's form, after which the session closes."""
