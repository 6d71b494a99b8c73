"""A conversation as data: what each side says, what the gateway makes of it, and a readable difference when it errs.

It works for any ``Wire`` and needs no event loop::

    play.agent(query("select 1")).asks("select 1").allowed().resource(rows).agent_sees(rows)

``Watcher`` stands where a session stands: it masks the columns it is told to and keeps what it hears.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.model.operation import Column, Operation, Outcome, Request, Rows, Shape, Transform, Verb, Wire
from tidegate.model.resource import Field
from tidegate.model.verdict import Refuse

Show = Callable[[bytes], list[str]]


@dataclass
class Watcher:
    """Results that only watch; ``masks`` by column name, ``most`` rows, ``concealing`` as told."""

    masks: Mapping[str, Transform] = field(default_factory=dict)
    most: int = 10**9
    concealing: bool = False
    passing: bool = True
    arrivals: list[str] = field(default_factory=list)
    described: list[list[Column]] = field(default_factory=list)
    outcomes: list[tuple[str, str, str]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    answers: list[Sequence[Rows]] = field(default_factory=list)
    counted: int = 0
    masked: int = 0
    open: set[Operation] = field(default_factory=set)

    def columns(self, operation: Operation, columns: Sequence[Column]) -> Sequence[Transform | None] | None:
        assert operation in self.open, "columns of an operation that was never allowed or is over"
        self.described.append(list(columns))
        return [self.masks.get(column.name) for column in columns] if self.masks else None

    def rows(self, operation: Operation, count: int, size: int, masked: Sequence[int]) -> bool:
        assert operation in self.open, "rows of an operation that was never allowed or is over"
        self.counted += count
        self.masked += sum(masked)
        return self.counted <= self.most

    def value(self, operation: Operation, field: Field | None, shape: Shape) -> Transform | None:
        assert operation in self.open, "a value of an operation that was never allowed or is over"
        return self.masks.get(str(field) if field is not None else "unknown")

    def replaced(self, operation: Operation, field: Field | None, values: int) -> None:
        assert operation in self.open, "a value of an operation that was never allowed or is over"
        self.masked += values

    def conceal(self, operation: Operation | None) -> bool:
        return self.concealing

    def done(self, operation: Operation, outcome: Outcome) -> None:
        assert operation in self.open, "the end of an operation that was never allowed or is over"
        self.open.remove(operation)
        self.outcomes.append((operation.facts.text, outcome.status, outcome.code))

    def arrived(self, operation: Operation, size: int, masked: Mapping[str, int] | None = None) -> bool:
        self.masked += sum((masked or {}).values())
        self.arrivals.append(operation.facts.text)
        return self.passing

    def found(self, answers: Sequence[Rows]) -> None:
        self.answers.append(answers)

    def changed(self, setting: str, value: str) -> None:
        self.settings[setting] = value


def requests(wire: Wire, data: bytes) -> Iterator[Request]:
    """What ``data`` completes, one request at a time."""
    wire.feed(data)
    while (request := wire.request()) is not None:
        yield request


class Playbook:
    """Plays one conversation; every step returns the playbook. Requests come one at a time, as a relay takes them."""

    def __init__(self, wire: Wire, results: Watcher | None = None, show: Show = lambda data: [repr(data)]) -> None:
        self.wire = wire
        self.results = results or Watcher()
        self._show = show
        self._request: Request | None = None
        self._to_agent = b""
        self._to_resource = b""

    def agent(self, data: bytes) -> Playbook:
        """The agent sends bytes."""
        self.wire.feed(data)
        return self

    def request(self) -> Request:
        """The next request itself."""
        request = self.wire.request()
        assert request is not None, "no request"
        return request

    def asks(self, *texts: str, phase: str = "", continues: bool = False) -> Playbook:
        """The next request has operations with these texts."""
        assert self._request is None, "the last request is not answered yet"
        self._request = self.wire.request()
        assert self._request is not None, f"no request, expected {texts}"
        found = tuple(operation.facts.text for operation in self._request.operations)
        assert found == texts, f"asked for {found}, expected {texts}"
        assert self._request.continues is continues
        assert not phase or {operation.phase for operation in self._request.operations} == {phase}
        return self

    def operation(self, command: str, verb: Verb) -> Playbook:
        """The request that was asked last is one operation with this command and verb."""
        assert self._request is not None
        assert [(op.facts.command, op.facts.verb) for op in self._request.operations] == [(command, verb)]
        return self

    def headed(self, expected: bool) -> Playbook:
        """Whether something without an operation may precede the first operation of the request."""
        assert self._request is not None
        assert self._request.headed is expected
        return self

    def nothing(self) -> Playbook:
        """There is no further request."""
        assert self.wire.request() is None
        return self

    def allowed(self) -> Playbook:
        """The request is forwarded."""
        request = self._taken()
        self.results.open.update(request.operations)
        self._to_resource += self.wire.forward(request)
        return self

    def refused(self, refusal: Refuse) -> Playbook:
        """The request is refused; a relay drains first."""
        assert self.wire.pending == 0 or self.wire.open, "a refusal comes after every earlier reply"
        reply = self.wire.refuse(self._taken(), refusal)
        self._to_agent += reply.to_agent
        self._to_resource += reply.to_resource
        return self

    def cut(self, before: int) -> Playbook:
        """The request is taken back and cut before this operation of it."""
        request = self._taken()
        self.wire.cut(request, request.operations[before])
        return self

    def passes(self) -> Playbook:
        """Every request that is there is forwarded."""
        while (request := self.wire.request()) is not None:
            self._request = request
            self.allowed()
        return self

    def resource(self, data: bytes) -> Playbook:
        """The upstream sends bytes."""
        self._to_agent += self.wire.responses(data, self.results)
        return self

    def resource_sees(self, data: bytes) -> Playbook:
        """The upstream was sent exactly this since it was last asked."""
        self._equal("the resource sees", data, self._to_resource)
        self._to_resource = b""
        return self

    def agent_sees(self, data: bytes) -> Playbook:
        """The agent was sent exactly this since it was last asked."""
        self._equal("the agent sees", data, self._to_agent)
        self._to_agent = b""
        return self

    def took(self, to_agent: bytes, to_resource: bytes) -> None:
        """Both sides were sent these by somebody who drives the wire directly."""
        self._to_agent += to_agent
        self._to_resource += to_resource

    def take_agent(self) -> bytes:
        """What the agent was sent since it was last asked."""
        sent, self._to_agent = self._to_agent, b""
        return sent

    def take_resource(self) -> bytes:
        """What the resource was sent since it was last asked."""
        sent, self._to_resource = self._to_resource, b""
        return sent

    def outcomes(self, *expected: tuple[str, str, str]) -> Playbook:
        """Operations ended so (text, status, code) since this was last asked, in order."""
        found, self.results.outcomes = self.results.outcomes, []
        assert found == list(expected), f"outcomes are {found}"
        return self

    def _taken(self) -> Request:
        request, self._request = self._request, None
        assert request is not None, "there is no request to answer"
        return request

    def _equal(self, title: str, expected: bytes, found: bytes) -> None:
        if expected != found:
            lines = difflib.ndiff(self._show(expected), self._show(found))
            raise AssertionError(f"{title} something else:\n" + "\n".join(lines))
