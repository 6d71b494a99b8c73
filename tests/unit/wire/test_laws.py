"""Laws that hold for any bytes, however they are cut."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from playbook import Watcher
from playbook import requests as pulled
from tidegate.errors import AgentError, ResourceError
from tidegate.model.operation import Operation, Request
from unit.wire.messages import (
    BYE,
    FLUSH,
    SYNC,
    bind,
    close,
    columns,
    complete,
    describe,
    error,
    execute,
    frame,
    parse,
    play,
    query,
    ready,
    row,
    wire,
)

SECRET = b"alice@example.org"
NAMES = st.sampled_from(["", "a", "b"])
TEXTS = st.sampled_from(["select 1", "update t", "insert into t", "select 1; delete t", ""])
ASKED = st.one_of(
    TEXTS.map(query),
    st.builds(parse, NAMES, TEXTS),
    st.builds(bind, NAMES, NAMES, st.binary(max_size=9)),
    st.builds(bind, NAMES, NAMES, st.just(b"v" * 70_000)),
    st.builds(execute, NAMES),
    st.builds(describe, st.sampled_from("SP"), NAMES),
    st.builds(close, st.sampled_from("SP"), NAMES),
    st.sampled_from([SYNC, FLUSH, BYE, frame("F", b"1")]),
)
CELLS = st.one_of(st.none(), st.just(SECRET), st.binary(max_size=20))
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=20)
CUTS = st.lists(st.integers(0, 10_000), max_size=12)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """``data`` in pieces."""
    places = sorted({place % (len(data) + 1) for place in at} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def asked(pieces: list[bytes]) -> tuple[list[Request], bytes]:
    """What a wire makes of the agent's bytes, answering nothing, and what it forwards."""
    side, requests, forwarded = wire(), [], b""
    for piece in pieces:
        for request in pulled(side, piece):
            requests.append(request)
            forwarded += side.forward(request)
    return requests, forwarded


def facts(requests: list[Request]) -> list[tuple[str, str, bytes, str]]:
    """Operations as comparable values."""
    operations: list[Operation] = [operation for request in requests for operation in request.operations]
    return [(op.facts.verb, op.facts.text, op.parameters, op.phase) for op in operations]


@given(st.lists(ASKED, max_size=12), CUTS)
def test_any_split_asks_the_same(messages: list[bytes], at: list[int]) -> None:
    """However the agent's bytes are cut, the same operations come out and the same bytes go upstream."""
    data = b"".join(messages)
    whole, pieces = asked([data]), asked(cut(data, at))
    assert facts(whole[0]) == facts(pieces[0]) and whole[1] == pieces[1]


@given(st.lists(ASKED, max_size=12), CUTS)
def test_nothing_of_the_agents_is_lost(messages: list[bytes], at: list[int]) -> None:
    """The requests' bytes are a prefix of what the agent sent; the rest is still buffered."""
    data, side, raw = b"".join(messages), wire(), b""
    for piece in cut(data, at):
        for request in pulled(side, piece):
            raw += request.raw
            side.forward(request)
    assert data.startswith(raw) and len(raw) + side.buffered == len(data)


@given(ROWS, CUTS)
def test_without_masks_nothing_changes(rows: list[tuple[bytes | None, bytes | None]], at: list[int]) -> None:
    """However the upstream's bytes are cut, the agent gets the same bytes."""
    reply = columns("a", "b") + b"".join(row(*cells) for cells in rows) + complete() + ready()
    book = play().agent(query("select 1")).passes()
    for piece in cut(reply, at):
        book.resource(piece)
    book.agent_sees(reply)


@given(ROWS, CUTS)
def test_masks_never_leak(rows: list[tuple[bytes | None, bytes | None]], at: list[int]) -> None:
    """However the upstream's bytes are cut, only masks of the masked column arrive, and all of the other one."""
    head, tail = columns("a", "b"), complete() + ready()
    book = play(Watcher({"a": lambda value: b"*"})).agent(query("select 1")).passes()
    for piece in cut(head + b"".join(row(*cells) for cells in rows) + tail, at):
        book.resource(piece)
    masked = b"".join(row(None if a is None else b"*", b) for a, b in rows)
    book.agent_sees(head + masked + tail)
    assert book.results.masked == sum(a is not None for a, _ in rows)


@given(st.lists(st.one_of(ASKED, st.binary(max_size=40)), max_size=6))
def test_garbage_from_the_agent(messages: list[bytes]) -> None:
    """Anything an agent sends is understood, waited for, or raises AgentError."""
    with contextlib.suppress(AgentError):
        asked([b"".join(messages)])


@settings(max_examples=300)
@given(st.lists(ASKED, max_size=6), st.binary(max_size=60), st.data())
def test_garbage_from_the_upstream(messages: list[bytes], noise: bytes, data: st.DataObject) -> None:
    """Anything an upstream sends is delivered, waited for, or raises ResourceError."""
    replies = st.sampled_from(
        [*map(frame, "123nstIcGH"), columns("a"), row(b"1"), complete(), ready(), ready("E"), error(), frame("d", b"x")]
    )
    book = play(Watcher({"a": lambda value: b"*"}))
    try:
        book.agent(b"".join(messages)).passes()
        book.resource(b"".join(data.draw(st.lists(replies, max_size=8))) + noise)
        book.agent(SYNC).passes()
    except (AgentError, ResourceError):
        pass
