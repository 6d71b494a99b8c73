"""The gateway's own answers: refusals that keep the stream in step, notices and goodbyes."""

from __future__ import annotations

import pytest

from tidegate.errors import ResourceError
from tidegate.model.verdict import Refuse
from unit.wire.messages import (
    BYE,
    FAILING,
    FLUSH,
    NO,
    SYNC,
    bind,
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
    refusal,
    row,
    wire,
)

BATCH = parse("", "select 1") + bind() + describe("P") + execute() + SYNC
REPLY = frame("1") + frame("2") + columns("a") + row(b"1") + complete() + ready()
UPDATE = parse("", "update t") + bind() + describe("P") + execute()
UPDATED = frame("1") + frame("2") + frame("n") + complete("UPDATE 1")


def test_simple_query() -> None:
    """A Query is one request, and its reply passes as it came."""
    reply = columns("a") + row(b"1") + complete() + ready()
    play().agent(query("select 1")).asks("select 1").allowed().resource_sees(query("select 1")).resource(
        reply
    ).agent_sees(reply).outcomes(("select 1", "ok", ""))


def test_extended_batch() -> None:
    """A batch up to Sync is one request with one operation per Execute, and its reply passes as it came."""
    book = play().agent(BATCH).asks("select 1", phase="execute").allowed().resource_sees(BATCH)
    book.resource(REPLY).agent_sees(REPLY).outcomes(("select 1", "ok", ""))
    assert book.wire.pending == 0


def test_refused_query_when_idle() -> None:
    """With nothing open, a refused Query is answered by the gateway alone."""
    play().agent(query("delete t")).asks("delete t").refused(NO).resource_sees(b"").agent_sees(refusal() + ready())


def test_refused_batch_when_idle() -> None:
    """With nothing open, a refused batch is answered by the gateway alone."""
    data = parse("", "delete t") + bind() + execute() + SYNC
    play().agent(data).asks("delete t").refused(NO).resource_sees(b"").agent_sees(refusal() + ready())


def test_refused_query_in_a_transaction_fails_it() -> None:
    """Rule 4: the transaction fails upstream, and the status the agent sees is the server's own."""
    book = play().agent(query("begin")).asks("begin").allowed().resource(complete("BEGIN") + ready("T"))
    book.resource_sees(query("begin")).agent_sees(complete("BEGIN") + ready("T"))
    book.agent(query("delete t")).asks("delete t").refused(NO).resource_sees(FAILING + SYNC).agent_sees(b"")
    book.resource(error() + ready("E")).agent_sees(refusal() + ready("E"))


def test_refused_after_flush_undoes_what_went_before() -> None:
    """Rule 4: update, Flush, refused statement, Sync leaves no update: the upstream gets an error before its Sync."""
    book = play().agent(UPDATE + FLUSH).asks("update t").allowed().resource(UPDATED).resource_sees(UPDATE + FLUSH)
    book.agent(parse("", "delete t") + bind() + execute() + SYNC).asks("delete t").refused(NO)
    book.resource_sees(FAILING + SYNC).resource(error() + ready()).agent_sees(UPDATED + refusal() + ready())


def test_refused_flush_drops_up_to_sync() -> None:
    """After a refused part without Sync, the agent's messages are dropped and only its Sync passes."""
    book = play().agent(parse("", "delete t") + FLUSH).asks("delete t", phase="prepare").refused(NO)
    book.agent_sees(refusal()).agent(bind() + execute() + SYNC).passes().resource_sees(SYNC)
    book.resource(ready()).agent_sees(ready()).outcomes()


def test_refused_flush_behind_a_forwarded_part() -> None:
    """A forwarded part, then a refused one without Sync: the upstream fails at the Flush already."""
    book = play().agent(UPDATE + FLUSH).asks("update t").allowed().resource(UPDATED).resource_sees(UPDATE + FLUSH)
    book.agent(parse("", "delete t") + FLUSH).asks("delete t").refused(NO).resource_sees(FAILING + FLUSH)
    book.resource(error()).agent_sees(UPDATED + refusal())
    book.agent(bind() + SYNC).passes().resource_sees(SYNC).resource(ready()).agent_sees(ready())


def test_session_goes_on_after_a_refusal() -> None:
    """Rule 4: what follows a refusal is served."""
    book = play().agent(query("delete t")).asks("delete t").refused(NO)
    book.agent_sees(refusal() + ready()).agent(BATCH).asks("select 1").allowed().resource(REPLY).agent_sees(REPLY)


DELETE = parse("", "delete t") + bind() + execute()


def test_refused_in_the_middle_of_a_batch() -> None:
    """What precedes it runs, its error comes in its place, the rest is skipped, and the status is the server's own."""
    book = play().agent(UPDATE + DELETE + UPDATE + SYNC).asks("update t", "delete t", "update t").cut(1)
    book.asks("update t").allowed().resource_sees(UPDATE + FLUSH)
    book.asks("delete t", "update t").refused(NO).resource_sees(FAILING + SYNC).agent_sees(b"")
    book.resource(UPDATED + error() + ready()).agent_sees(UPDATED + refusal() + ready())
    book.outcomes(("update t", "ok", ""))
    assert book.wire.pending == 0


def test_cut_begins_behind_the_last_operation_before() -> None:
    """The messages of the refused operation stay together."""
    shared = parse("s", "insert t") + bind("", "s", b"1") + execute()
    rest = bind("", "s", b"2") + execute() + SYNC
    book = play().agent(shared + rest).asks("insert t", "insert t").cut(1).asks("insert t").allowed()
    book.resource_sees(shared.replace(execute(), describe("P") + execute()) + FLUSH)
    book.asks("insert t").allowed().resource_sees(rest.replace(execute(), describe("P") + execute()))


def test_refused_behind_a_failure() -> None:
    """If what precedes the refused operation fails, that error is the batch's, as it is without a gateway."""
    book = play().agent(UPDATE + DELETE + SYNC).asks("update t", "delete t").cut(1).asks("update t").allowed()
    book.asks("delete t").refused(NO).resource(frame("1") + frame("2") + frame("n") + error("22012") + ready())
    book.agent_sees(frame("1") + frame("2") + frame("n") + error("22012") + ready())
    book.outcomes(("update t", "error", "22012"))
    assert book.wire.pending == 0


def test_refused_behind_a_copy_whose_data_is_due() -> None:
    """Where the server expects COPY data, nothing else can be kept in step: the session ends, as it would there."""
    copy = parse("", "copy t") + bind() + describe("P") + execute()
    book = play().agent(copy + DELETE + SYNC).asks("copy t", "delete t").cut(1).asks("copy t").allowed()
    book.asks("delete t")
    with pytest.raises(ResourceError, match="before its data"):
        book.resource(frame("1") + frame("2") + frame("n") + frame("G", b"\0\0\0"))


def test_upstream_that_accepts_the_failing_statement_ends_the_session() -> None:
    """If the statement that must fail does not, the session ends: its transaction cannot be trusted."""
    book = play().agent(UPDATE + FLUSH).passes().resource(UPDATED)
    book.agent(query("delete t")).asks("delete t").refused(NO)
    with pytest.raises(Exception, match="nothing asked for"):
        book.resource(frame("1"))


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("approval.expired", "57014"),
        ("limit.rows", "54000"),
        ("audit.unavailable", "58030"),
        ("policy.refused", "42501"),
    ],
)
def test_sqlstates(code: str, state: str) -> None:
    """Each kind of refusal has its own SQLSTATE."""
    refuse = Refuse(code, "r", "why", "do this", "s/2")
    play().agent(query("x")).asks("x").refused(refuse).agent_sees(refusal(refuse, state) + ready())


def test_notice_and_goodbye() -> None:
    """A notice may come at any time; a goodbye is fatal and names its SQLSTATE."""
    assert wire().notice("held\0 now") == frame("N", b"SNOTICE\0VNOTICE\0C00000\0Mheld now\0\0")
    assert wire().goodbye(Refuse("session.killed", "", "ended")) == frame("E", b"SFATAL\0VFATAL\0C57P01\0Mended\0\0")


def test_farewell() -> None:
    """Terminate is the agent's goodbye; a batch before it is a request of its own."""
    book = play().agent(UPDATE + BYE).asks("update t").allowed().resource_sees(UPDATE + FLUSH)
    book.asks().allowed().resource_sees(BYE)


def test_settled_only_when_no_transaction_is_open() -> None:
    """``settled`` follows the server's own transaction status."""
    book = play().agent(query("begin")).passes().resource(complete("BEGIN") + ready("T"))
    assert not book.wire.settled
    assert book.agent(query("commit")).passes().resource(complete("COMMIT") + ready("I")).wire.settled


def test_cut_twice() -> None:
    """What was cut at its first operation begins with that operation also when it is cut again."""
    first, rest = parse("", "insert"), parse("", "select refuse") + bind() + execute() + SYNC
    book = play().agent(first + rest).asks("insert", "select refuse").cut(0)
    book.asks("insert", "select refuse").headed(False).cut(1)
    book.asks("insert").headed(False).allowed().asks("select refuse").headed(False)
