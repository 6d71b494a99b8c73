"""What the gateway asks on the agent's own connection: the agent does not notice, and the stream stays in step."""

from __future__ import annotations

import pytest

from tidegate.errors import AgentError, ResourceError
from unit.wire.messages import (
    FLUSH,
    SYNC,
    bind,
    close,
    complete,
    error,
    execute,
    frame,
    parse,
    play,
    query,
    ready,
    row,
)

ASKED = parse("tidegate", "select") + bind("tidegate", "tidegate") + execute("tidegate")
ASKED += close("P", "tidegate") + close("S", "tidegate")
ANSWER = frame("1") + frame("2") + row(b"{}") + complete() + frame("3") + frame("3")


def test_asked_when_idle() -> None:
    """The question ends with a Sync, and nothing of the answer reaches the agent."""
    book = play()
    assert book.wire.ask(["select"]) == ASKED + SYNC
    assert book.wire.pending == 1
    book.resource(ANSWER + ready()).agent_sees(b"")
    assert (book.wire.pending, book.results.answers) == (0, [[[[b"{}"]]]])


def test_asked_in_an_open_batch() -> None:
    """Between the parts of a batch a Flush ends it, so that the implicit transaction goes on."""
    book = play().agent(parse("", "update t") + bind() + execute() + FLUSH).passes()
    book.resource(frame("1") + frame("2") + frame("n") + complete("UPDATE 1")).take_agent()
    assert book.wire.ask(["select"]) == ASKED + FLUSH
    book.resource(ANSWER).agent_sees(b"")
    book.agent(SYNC).passes().resource(ready()).agent_sees(ready())
    assert (book.wire.pending, book.results.answers) == (0, [[[[b"{}"]]]])


def test_not_asked_while_replies_are_due_or_a_transaction_failed() -> None:
    """Where an answer could not be told from others, or there would be none, nothing is asked."""
    book = play().agent(query("select 1")).passes()
    assert book.wire.ask(["select"]) == b""
    book.resource(error() + ready("E"))
    assert book.wire.ask(["select"]) == b""


def test_what_may_come_at_any_time_passes() -> None:
    """Notices, settings and notifications in the middle of the answer are the agent's."""
    book, between = play(), frame("S", b"TimeZone\0UTC\0") + frame("A", b"\0\0\0\1news\0x\0")
    book.wire.ask(["select"])
    book.resource(ANSWER[:10] + between + ANSWER[10:] + ready()).agent_sees(between)


@pytest.mark.parametrize("reply", [error(), frame("D", b"\0\1\0\0\0\5a"), frame("H", b"\0\0\0"), ready()])
def test_an_answer_that_makes_no_sense_ends_the_session(reply: bytes) -> None:
    """What is not known cannot be judged by."""
    book = play()
    book.wire.ask(["select"])
    with pytest.raises(ResourceError):
        book.resource(reply + query(""))


@pytest.mark.parametrize("said", [parse("tidegate", "select 1"), bind("tidegate")])
def test_the_name_is_reserved(said: bytes) -> None:
    """No agent may use the gateway's own name."""
    with pytest.raises(AgentError, match="gateway's own"):
        play().agent(said + SYNC).passes()
