"""What is asked, in no protocol's words.

``Facts`` are what a parser says about one statement or command; they are pure, frozen and may be cached by exact text.
An ``Operation`` is one asking of it: facts plus the parameters at hand. A ``Request`` is raw bytes plus the operations
in them, the smallest unit that may be forwarded.

What is made for every statement is a plain class: the constructor of a dataclass stays interpreted in a compiled build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

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
    ``multi``, ``setting``, ``functions`` and the like, JSON values only. ``shape`` is what these facts differ from in
    ``text`` only: they hold for every text of that shape. ``runs`` is the text of another statement, which this one
    runs by the name it was given earlier.
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
    shape: Facts | None = field(default=None, compare=False, repr=False)
    runs: str = ""


STREAMED = b"streamed"
"""In place of parameters that are too large to be held: they follow the request that was judged."""


class Operation:
    """One asking of ``facts``; compared by identity.

    ``parameters`` is a canonical encoding of the bound values for the record (empty when there are none), and
    ``phase`` is ``execute``, or ``prepare`` when the statement is only handed over for later. ``anew`` understands it
    under the names known now where its text alone does not tell what it runs. ``given`` counts, in its only item, the
    rows of all operations that read on in one result. ``declared`` is what the agent said of the parameters' types.
    """

    __slots__ = ("anew", "declared", "facts", "given", "parameters", "phase")

    def __init__(
        self,
        facts: Facts,
        parameters: bytes = b"",
        phase: str = "execute",
        anew: Callable[[], Facts] | None = None,
        given: list[int] | None = None,
        declared: bytes = b"",
    ) -> None:
        self.facts = facts
        self.parameters = parameters
        self.phase = phase
        self.anew = anew
        self.given = given
        self.declared = declared


class Request:
    """Raw bytes plus the operations in them.

    ``continues`` marks bytes that belong to an operation already allowed (COPY data, the rest of a streamed
    parameter): they are recorded and forwarded under its permit, never judged again; ``unframed`` takes from them what
    frames the values. ``farewell`` marks the agent's own goodbye; without any bytes the session ends and the connection
    goes back to its protocol, with what the wire has not taken (``Wire.rest``). ``divisible``: what precedes an
    operation may be forwarded without it (``Wire.cut``); ``headed``: there may be something without an operation before
    even the first.

    ``own`` is the gateway's own answer to what needs neither a verdict nor the upstream; there is one only while
    nothing is pending. ``patience`` is how many seconds the agent gives people to answer, None as policy says.
    ``shown`` is what the recording holds in place of the forwarded bytes: the same without the upstream's credential.
    """

    __slots__ = (
        "continues", "divisible", "farewell", "headed", "operations", "own", "patience", "raw", "shown", "unframed",
    )  # fmt: skip

    def __init__(
        self,
        raw: bytes,
        operations: tuple[Operation, ...] = (),
        *,
        continues: bool = False,
        farewell: bool = False,
        divisible: bool = False,
        headed: bool = False,
        unframed: Callable[[bytes], bytes] | None = None,
        own: bytes | None = None,
        patience: int | None = None,
        shown: bytes | None = None,
    ) -> None:
        self.raw = raw
        self.operations = operations
        self.continues = continues
        self.farewell = farewell
        self.divisible = divisible
        self.headed = headed
        self.unframed = unframed
        self.own = own
        self.patience = patience
        self.shown = shown


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
class Constant:
    """A mask that is the same for every value, so that a wire may write it without looking at any."""

    value: bytes | None

    def __call__(self, _clear: bytes) -> bytes | None:
        """The mask, whatever the value."""
        return self.value


class Outcome:
    """How an operation ended: ``status`` is ok, error, refused or indeterminate; ``code`` the upstream's error code.

    One may be the outcome of many operations: it never changes.
    """

    __slots__ = ("code", "status", "tag")

    def __init__(self, status: str, code: str = "", tag: str = "") -> None:
        self.status: Final = status
        self.code: Final = code
        self.tag: Final = tag


@dataclass(frozen=True, slots=True)
class Reply:
    """The gateway's own answer: bytes to the agent, and bytes that keep the upstream in step."""

    to_agent: bytes
    to_resource: bytes = b""


Rows = Sequence[Sequence[bytes | None]]
"""The rows of an answer to a question of the gateway's own, as text."""


class Results(Protocol):
    """What a wire tells the session while a reply passes. Synchronous."""

    def columns(self, operation: Operation, columns: Sequence[Column]) -> Sequence[Transform | None] | None:
        """Masks per column, asked once per result set; ``None`` lets the rows pass untouched."""

    def rows(self, operation: Operation, count: int, size: int, masked: Sequence[int]) -> bool:
        """``count`` rows of ``size`` bytes passed, ``masked[k]`` values replaced in column k. False: no more rows."""

    def value(self, operation: Operation, field: Field | None, shape: Shape) -> Transform | None:
        """The mask for one field of a result that is no table; ``None`` lets it pass. Asked once per field.

        ``field`` is None for a value that cannot be traced to one. A transform that gives back the very object found
        nothing to replace; one with a method ``suspicious`` can say so of a whole block at once.
        """

    def replaced(self, operation: Operation, field: Field | None, values: int) -> None:
        """So many values of a field were replaced."""

    def conceal(self, operation: Operation | None) -> bool:
        """Whether error and notice texts must be reduced to their code and a fixed sentence."""

    def arrived(self, operation: Operation, size: int, masked: Mapping[str, int] | None = None) -> bool:
        """A message of ``size`` bytes came that answers nothing: an operation of its own. False: it must not pass.

        ``masked``: values replaced in it, by field; None when ``conceal`` decides about its payload.
        """

    def done(self, operation: Operation, outcome: Outcome) -> None:
        """The reply to ``operation`` is complete."""

    def found(self, answers: Sequence[Rows]) -> None:
        """What the upstream answered to ``Wire.ask``; raises ResourceError if it makes no sense."""

    def changed(self, setting: str, value: str) -> None:
        """The upstream reports a setting; raises ResourceError if it breaks rule 9."""


class Wire(Protocol):
    """One per session, both directions, sans-I/O.

    ``pending`` counts forwarded requests whose reply is not complete (endless replies do not count); ``buffered`` is
    the number of the agent's bytes held because they do not make a request yet. ``settled`` is False while a
    transaction is open upstream, so that what it defines is not yet visible to others. ``open``: a part of a batch was
    forwarded without its end, so that a part of it may be refused at once and the upstream keeps that in its place.
    ``inside``: a transaction block is open and sound.
    ``waiting``: what the agent sent can only be understood after the next responses; then ask for requests again.
    ``skipping``: an error makes the upstream ignore everything up to the end of the batch.
    ``partial``: the agent has the beginning of a message whose rest is still to come.
    ``over``: with what was said last the conversation has ended. ``rest``: bytes of the agent's that were not taken.
    """

    pending: int
    buffered: int
    settled: bool
    open: bool
    inside: bool

    @property
    def waiting(self) -> bool:
        """See above."""

    @property
    def skipping(self) -> bool:
        """See above."""

    @property
    def partial(self) -> bool:
        """See above."""

    @property
    def over(self) -> bool:
        """See above."""

    @property
    def rest(self) -> bytes:
        """See above."""

    def feed(self, data: bytes) -> None:
        """Take in bytes of the agent; ``request`` gives what they complete."""

    def request(self) -> Request | None:
        """The next request that is complete; None when there is none yet.

        Each is forwarded, refused or cut before the next is asked for. Raises AgentError on garbage.
        """

    def cut(self, request: Request, before: Operation) -> None:
        """Take a request back: next come what precedes the operation, then the rest, each as a request."""

    def forward(self, request: Request) -> bytes:
        """The bytes to write upstream for an allowed request; from now on its reply is expected."""

    def responses(self, data: bytes, results: Results) -> bytes:
        """Take in bytes of the upstream and give what the agent may see; with no mask, the very bytes.

        Raises ResourceError when the upstream does not keep to its protocol.
        """

    def left(self, results: Results) -> bytes:
        """The upstream has closed its side: what the agent may see of what that completes."""

    def refuse(self, request: Request, refusal: Refuse) -> Reply:
        """The answer to a refused request, which keeps the stream in step.

        Called only while ``pending`` is 0, or for a divisible request while the batch is ``open``.
        """

    def ask(self, questions: Sequence[str]) -> bytes:
        """Bytes that ask the upstream something in this very session, which the agent does not notice.

        Nothing when that cannot be done now: replies are due, or a failed transaction is open.
        """

    def notice(self, text: str) -> bytes:
        """A message for people that may be sent at any time while a request is held; empty if there is no such."""

    def goodbye(self, refusal: Refuse) -> bytes:
        """A fatal error in the protocol's form, after which the session closes."""
