"""What comes whole is understood without being buffered; it must be understood just as what comes byte by byte."""

from __future__ import annotations

from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.server import Server
from playbook import Watcher
from tidegate.errors import AgentError
from tidegate.model.operation import Request
from unit.wire.messages import (
    BYE,
    FLUSH,
    NO,
    SYNC,
    bind,
    close,
    describe,
    execute,
    frame,
    parse,
    play,
    query,
    wire,
)

NAMES = st.sampled_from(["", "a", "b"])
TEXTS = st.sampled_from(
    ["select 1", "insert 1", "delete 1", "fail", "begin", "commit", "prepare a as select 1", "execute a", "do it"]
)
MESSAGES = st.one_of(
    TEXTS.map(query),
    st.builds(parse, NAMES, TEXTS),
    st.builds(bind, NAMES, NAMES, st.one_of(st.none(), st.binary(max_size=9))),
    st.builds(execute, NAMES),
    st.builds(describe, st.sampled_from("SP"), NAMES),
    st.builds(close, st.sampled_from("SP"), NAMES),
    st.sampled_from([SYNC, FLUSH, frame("F", b"1")]),
)
BATCHES = st.one_of(
    MESSAGES,
    st.builds(
        lambda made, name, kind: made + bind("", name, b"1") + kind + execute() + SYNC,
        st.one_of(st.just(b""), st.builds(parse, st.just("a"), TEXTS)),
        NAMES,
        st.sampled_from([b"", describe("P"), describe("S", "a")]),
    ),
)
CHUNKS = st.lists(st.lists(BATCHES, max_size=4).map(b"".join), max_size=5)


class Talk:
    """A wire between an agent and the model of a server; what has ``delete`` in it is refused."""

    def __init__(self) -> None:
        self.wire, self.server, self.results = wire(), Server(), Watcher()
        self.seen = self.dropped = b""
        self.steps: list[object] = []

    def hear(self) -> None:
        said, self.server.said = self.server.said, b""
        self.seen += self.wire.responses(said, self.results)

    def say(self, data: bytes) -> None:
        self.wire.feed(data)
        while (request := self.wire.request()) is not None:
            operations = [(op.facts, op.parameters, op.phase, op.given) for op in request.operations]
            marks = (request.continues, request.farewell, request.divisible, request.headed)
            done = self._answer(request)
            if operations or done:
                self.steps.append((request.raw, operations, marks, done, self.wire.open, self.wire.pending))
            else:
                self.dropped += request.raw

    def _answer(self, request: Request) -> tuple[bytes, ...]:
        bad = [operation for operation in request.operations if "delete" in operation.facts.text]
        if not bad:
            self.results.open.update(request.operations)
            written = self.wire.forward(request)
            self.server.feed(written)
            return (written,) if written else ()
        if request.divisible and (request.headed or bad[0] is not request.operations[0]):
            self.wire.cut(request, bad[0])
            return (b"cut",)
        if not self.wire.open:
            self.hear()
        reply = self.wire.refuse(request, NO)
        self.server.feed(reply.to_resource)
        self.seen += reply.to_agent
        return reply.to_agent, reply.to_resource

    def play(self, chunks: list[bytes], size: int) -> list[object]:
        """Everything that happened."""
        ended = ""
        try:
            for chunk in chunks:
                for at in range(0, len(chunk), size):
                    self.say(chunk[at : at + size])
                while True:
                    self.hear()
                    waited = self.wire.waiting
                    self.say(b"")
                    if not waited and not self.server.said:
                        break
        except AgentError as error:
            ended = error.message
        return [self.steps, self.dropped, self.seen, self.results.outcomes, self.results.described, ended]


@settings(max_examples=300)
@given(CHUNKS)
def test_whole_and_byte_by_byte(chunks: list[bytes]) -> None:
    """The same requests, operations, answers and outcomes, whether anything comes whole or not."""
    whole, bytewise = Talk(), Talk()
    assert whole.play(chunks, 2**20) == bytewise.play(chunks, 1)
    assert whole.wire.buffered == bytewise.wire.buffered


def test_half_a_batch_goes_on_as_what_follows() -> None:
    """A chunk ends within a batch, and the next one brings the rest and another."""
    batch = parse("", "select 1") + bind() + describe("P") + execute() + SYNC
    book = play().agent(batch + batch[:9]).asks("select 1").allowed().nothing()
    book.agent(batch[9:] + batch + BYE).asks("select 1").allowed().asks("select 1").allowed().asks().allowed()
    book.resource_sees(3 * batch + BYE)
    assert book.wire.buffered == 0


def test_a_part_that_ends_as_a_sync_would() -> None:
    """A message's last bytes may look like a Sync: the part that it ends is open all the same."""
    lookalike = frame("P", b"\0select 1\0" + pack(">HII", 2, ord("S"), 4))
    book = play().agent(lookalike + parse("", "select 2" + " " * 2**16)).asks("select 1").allowed()
    book.resource_sees(lookalike + FLUSH)
    assert book.wire.open
