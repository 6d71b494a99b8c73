"""The agent's direction: framing, limits, streaming, COPY, and names that cannot be trusted yet."""

from __future__ import annotations

import re
from pathlib import Path
from struct import pack

import pytest

from tidegate.errors import AgentError, ResourceError
from tidegate.model.operation import Verb
from tidegate.wire.postgres_messages import FRONTEND
from unit.wire.messages import (
    FLUSH,
    NO,
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
    refusal,
    row,
)

UNKNOWN = ""
COPY_IN = frame("G", b"\0\0\0")


def test_several_statements_in_one_query() -> None:
    """A simple Query has one operation per statement."""
    play().agent(query("select 1; delete t")).asks("select 1", "delete t")


def test_prepare_without_execute_is_judged() -> None:
    """A Parse whose statement does not run in this part is an operation of phase prepare."""
    play().agent(parse("s", "delete t") + describe("S", "s") + SYNC).asks("delete t", phase="prepare")


def test_bind_without_execute_is_judged() -> None:
    """Planning may run functions, so a Bind alone is judged."""
    book = play().agent(parse("s", "delete t") + SYNC).passes().resource(frame("1") + ready())
    book.agent(bind("", "s") + SYNC).asks("delete t", phase="prepare")


def test_every_execute_is_judged_anew() -> None:
    """Two Executes of one portal are two operations."""
    play().agent(parse("", "select 1") + bind() + execute() + execute() + SYNC).asks("select 1", "select 1")


def test_missing_description_is_asked_for() -> None:
    """The gateway describes a portal that the agent did not, and hides the answer."""
    book = play().agent(parse("", "select 1") + bind() + execute() + SYNC).asks("select 1").allowed()
    book.resource_sees(parse("", "select 1") + bind() + describe("P") + execute() + SYNC)
    book.resource(frame("1") + frame("2") + columns("a") + row(b"1") + complete() + ready())
    book.agent_sees(frame("1") + frame("2") + row(b"1") + complete() + ready())


@pytest.mark.parametrize("data", [bind("", "p") + execute() + SYNC, execute("c") + SYNC])
def test_unknown_names_are_judged_as_unknown(data: bytes) -> None:
    """What SQL's PREPARE or DECLARE made never runs unjudged."""
    request = play().agent(data).request()
    assert [op.facts.verb.value for op in request.operations] == ["unknown"]


def test_sql_prepare_gives_a_known_name_another_meaning() -> None:
    """SQL and protocol share their names: what a Bind runs is what SQL prepared last."""
    book = play().agent(parse("p", "select 1") + SYNC).passes().resource(frame("1") + ready())
    book.agent(query("deallocate p; prepare p as delete t")).passes()
    book.resource(complete() + complete() + ready()).agent(bind("", "p") + execute() + SYNC)
    book.asks("prepare p as delete t").operation("delete", Verb.WRITE)


def test_a_name_means_what_was_judged_again_after_code_ran() -> None:
    """A body nobody looked into may rebind names: the statement is handed over anew before it is bound, unseen."""
    book = play().agent(parse("p", "select 1") + SYNC).passes().resource(frame("1") + ready())
    book.agent(query("do 'deallocate p'")).passes().resource(complete() + ready())
    book.take_agent(), book.take_resource()
    book.agent(bind("", "p") + describe("P") + execute() + SYNC).asks("select 1").allowed()
    anew = close("S", "p") + parse("p", "select 1")
    book.resource_sees(anew + bind("", "p") + describe("P") + execute() + SYNC)
    rest = frame("2") + frame("n") + complete() + ready()
    book.resource(frame("3") + frame("1") + rest).agent_sees(rest)


def test_sql_names_and_cursors_are_unknown_after_code_ran() -> None:
    """SQL's PREPARE cannot be handed over anew, and a cursor cannot be opened again."""
    book = play().agent(query("prepare p as select 1")).passes().resource(complete() + ready())
    book.agent(query("do 'anything'")).passes().resource(complete() + ready())
    book.agent(bind("", "p") + execute() + SYNC).asks(UNKNOWN)


def test_a_change_taken_back_does_not_bring_a_rebound_name_back() -> None:
    """PREPARE while a Close is under way that then fails: the name means what was prepared last."""
    book = play().agent(parse("p", "select 1") + SYNC).passes().resource(frame("1") + ready())
    failing = parse("", "select fails") + bind() + execute() + close("S", "p") + SYNC
    book.agent(failing).passes().agent(query("deallocate p; prepare p as select 2")).passes()
    book.resource(frame("1") + frame("2") + error() + ready() + complete() + complete() + ready())
    book.agent(bind("", "p") + execute() + SYNC).asks("prepare p as select 2")


def test_a_refused_statement_makes_nothing_unknown() -> None:
    """A statement that might rebind names and is refused has not done so."""
    book = play().agent(parse("p", "select 1") + SYNC).passes().resource(frame("1") + ready())
    book.agent(query("prepare p as delete t")).asks("prepare p as delete t").refused(NO)
    book.agent(bind("", "p") + execute() + SYNC).asks("select 1")


def test_failed_parse_leaves_no_phantom() -> None:
    """A Parse that the server refused does not change what a name is known to mean."""
    book = play().agent(parse("p", "delete t") + SYNC).passes().resource(frame("1") + ready())
    book.agent(parse("p", "select 1") + SYNC).passes().resource(error("42P05") + ready())
    book.agent(bind("", "p") + execute() + SYNC).asks("delete t")


def test_refused_parse_leaves_no_phantom() -> None:
    """A Parse that was refused made nothing."""
    book = play().agent(parse("p", "delete t") + SYNC).asks("delete t").refused(NO)
    book.agent(bind("", "p") + execute() + SYNC).asks(UNKNOWN)


def test_pipelined_name_waits_until_it_is_settled() -> None:
    """A name from an earlier batch counts only once the server has confirmed it."""
    book = play().agent(parse("p", "select 1") + SYNC + bind("", "p") + execute() + SYNC).asks("select 1").allowed()
    assert book.nothing().wire.waiting  # type: ignore[attr-defined]
    book.resource(error("42P05") + ready()).agent(b"").asks(UNKNOWN)


def test_skipped_parse_cannot_be_run_by_a_later_batch() -> None:
    """Parses that an error skipped are void, in whatever order their names come up again."""
    book = play().agent(parse("", "delete t") + SYNC).passes().resource(frame("1") + ready())
    book.agent(execute("nope") + parse("", "select 1") + SYNC + parse("", "select 2") + SYNC).passes()
    book.resource(error("34000") + ready() + error("42601") + ready()).agent(bind() + execute() + SYNC).asks(UNKNOWN)


def test_close_frees_a_name() -> None:
    """A closed statement is unknown."""
    book = play().agent(parse("p", "select 1") + close("S", "p") + SYNC).passes()
    book.resource(frame("1") + frame("3") + ready()).agent(bind("", "p") + execute() + SYNC).asks(UNKNOWN)


def test_long_names_are_refused() -> None:
    """The server cuts names at 63 bytes, so that two long ones could mean the same statement."""
    with pytest.raises(AgentError, match="longer than 63"):
        play().agent(parse("a" * 64, "select 1") + SYNC).passes()


def test_several_statements_in_a_parse_are_unknown() -> None:
    """A Parse of several statements is nothing that policy can allow by name."""
    request = play().agent(parse("", "select 1; delete t") + SYNC).request()
    assert [op.facts.command for op in request.operations] == ["several statements in one Parse"]


def test_parameters_are_canonical() -> None:
    """Formats and values are encoded one way, however the driver abbreviates the formats."""
    head = b"\0\0" + pack(">HH", 1, 1)
    short = frame("B", head + pack(">H", 2) + pack(">i", 1) + b"a" + pack(">i", -1) + pack(">H", 0))
    spelt = frame("B", b"\0\0" + pack(">HHHH", 2, 1, 1, 2) + pack(">i", 1) + b"a" + pack(">i", -1) + pack(">H", 0))
    found = [play().agent(parse("", "select") + b + execute() + SYNC).request() for b in (short, spelt)]
    assert (
        found[0].operations[0].parameters == found[1].operations[0].parameters == b"\0\1\0\0\0\1a\0\1\xff\xff\xff\xff"
    )


def test_function_call_is_unknown() -> None:
    """A call by number is an operation of verb unknown, and its result passes."""
    book = play().agent(frame("F", b"\0\0\0\1")).asks("").allowed().resource(frame("V", b"\xff\xff\xff\xff") + ready())
    book.agent_sees(frame("V", b"\xff\xff\xff\xff") + ready()).outcomes(("", "ok", ""))


@pytest.mark.parametrize(
    "data",
    [
        frame("p", b"secret\0"),
        frame("Y"),
        b"Q\0\0\0\3",
        b"D\x7f\xff\xff\xff",
        frame("S", b"x"),
        frame("Q", b"select 1\0delete t\0"),
        frame("Q", b"select 1"),
        frame("P", b"\0select\0\0\1") + SYNC,
        frame("D", b"Xname\0") + SYNC,
    ],
)
def test_garbage_is_the_agents_fault(data: bytes) -> None:
    """What does not keep to the protocol raises AgentError."""
    with pytest.raises(AgentError):
        play().agent(data).passes()


@pytest.mark.parametrize("said", [query("x" * 2000), parse("", "x" * 2000) + bind() + execute() + SYNC])
def test_statement_over_the_limit(said: bytes) -> None:
    """A text over the limit is refused by its header, never buffered, and the session goes on."""
    book = play(limit=1000).agent(said[:5]).asks(UNKNOWN).refused(NO).agent(said[5:]).passes()
    assert book.wire.buffered == 0 and b"C54000" in book.take_agent()
    book.resource_sees(SYNC if said[:1] == b"P" else b"")


def test_statement_over_the_limit_cannot_be_allowed() -> None:
    """Even a policy that allows what is unknown cannot let through what was not read."""
    with pytest.raises(AgentError, match="over the limit"):
        play(limit=1000).agent(query("x" * 2000)).passes()


def test_other_messages_over_the_limit() -> None:
    """Messages that have no reason to be large end the session."""
    with pytest.raises(AgentError, match="over the limit"):
        play(limit=1000).agent(describe("S", "x" * 2000)).passes()


def test_large_bind_is_streamed() -> None:
    """A large Bind is judged at its head, forwarded as it comes, and its Execute runs under that permit."""
    data = bind("", "", b"v" * 300_000)
    book = play().agent(parse("", "insert") + data[:100_000]).asks("insert", phase="prepare").allowed()
    book.asks("insert", phase="execute").allowed().asks(continues=True).allowed().nothing()
    assert book.wire.buffered == 0
    book.agent(data[100_000:] + describe("P") + execute() + SYNC).asks(continues=True).allowed()
    book.asks(continues=True).allowed()
    book.resource_sees(parse("", "insert") + FLUSH + data + describe("P") + execute() + SYNC)
    book.resource(frame("1") + frame("2") + frame("n") + complete("INSERT 0 1") + ready())
    book.outcomes(("insert", "ok", ""), ("insert", "ok", ""))


def test_refused_large_bind_is_swallowed() -> None:
    """The rest of a refused Bind goes nowhere."""
    data = bind("", "", b"v" * 300_000)
    book = (
        play()
        .agent(parse("", "insert") + FLUSH)
        .passes()
        .resource(frame("1"))
        .resource_sees(parse("", "insert") + FLUSH)
    )
    book.agent(data[:70_000]).asks("insert").refused(NO).agent(data[70_000:] + execute() + SYNC).passes()
    book.resource(error() + ready()).agent_sees(frame("1") + refusal() + ready())


def test_large_batches_are_cut() -> None:
    """A pipeline without Sync is cut into parts, each with a Flush so that it can be drained."""
    one = parse("", "select '" + "x" * 30_000 + "'")
    book = play().agent(one * 5).asks(*(["select '" + "x" * 30_000 + "'"] * 2)).allowed()
    book.resource_sees(one * 2 + FLUSH)


def test_copy_in() -> None:
    """COPY data goes on under the operation of its COPY."""
    book = play().agent(query("copy t from stdin")).asks("copy t from stdin").allowed().resource(COPY_IN)
    book.agent(frame("d", b"1\n") + frame("c")).asks(continues=True).allowed().asks(continues=True).allowed()
    book.resource(complete("COPY 1") + ready()).outcomes(("copy t from stdin", "ok", ""))


def test_stray_copy_data_is_dropped() -> None:
    """What comes behind the end of a COPY goes nowhere, as the server itself would ignore it."""
    stray = frame("d", b"2\n") + frame("f", b"null\0") + frame("c")
    book = play().agent(stray + query("select 1")).asks().allowed().asks().allowed().asks().allowed()
    book.asks("select 1").allowed().resource_sees(query("select 1"))


def test_copy_data_of_many_messages_is_one_request() -> None:
    """What is there of the data goes on at once, and never waits for more than its own message."""
    book = play().agent(query("copy t")).passes().resource(COPY_IN).resource_sees(query("copy t"))
    rows = frame("d", b"1\n") * 1000
    book.agent(rows + frame("d", b"2\n")[:6]).asks(continues=True).allowed().resource_sees(rows)
    book.agent(frame("d", b"2\n")[6:] + frame("c")).asks(continues=True).allowed().asks(continues=True).allowed()
    book.resource_sees(frame("d", b"2\n") + frame("c"))


def test_copy_in_without_waiting() -> None:
    """A driver may send its data before the server asks for it."""
    data = query("copy t from stdin") + frame("d", b"1\n") + frame("c")
    book = play().agent(data).passes().resource_sees(data).resource(COPY_IN + complete("COPY 1") + ready())
    book.agent(query("select 1")).asks("select 1")


def test_pipeline_behind_a_copy() -> None:
    """What follows the end of the data is no part of the COPY, even if all of it came before the server's reply."""
    book = play().agent(query("copy t") + frame("d", b"1\n") + frame("c") + query("select 1")).passes()
    book.resource(COPY_IN + complete("COPY 1") + ready() + columns("a") + complete() + ready())
    book.outcomes(("copy t", "ok", ""), ("select 1", "ok", ""))


def test_pipeline_inside_a_copy() -> None:
    """A statement where the server expects COPY data cannot be kept in step."""
    with pytest.raises(ResourceError, match="before its data"):
        play().agent(query("copy t") + query("select 1")).passes().resource(COPY_IN)


def test_copy_in_swallows_its_sync() -> None:
    """The server ignores a Sync that reaches it during COPY; the one after the data is answered."""
    book = play().agent(parse("", "copy t") + bind() + describe("P") + execute() + SYNC).passes()
    book.resource(frame("1") + frame("2") + frame("n") + COPY_IN)
    book.agent(frame("d", b"1\n") + frame("c") + SYNC).passes().resource(complete("COPY 1") + ready())
    assert book.wire.pending == 0


def test_statements_during_copy_are_refused() -> None:
    """While the server reads COPY data, a statement could not be kept in step."""
    book = play().agent(query("copy t")).passes().resource(COPY_IN)
    with pytest.raises(AgentError, match="COPY"):
        book.agent(query("select 1")).passes()


def test_reference_page_lists_every_message() -> None:
    """The page says of each message what the table says."""
    page = (Path(__file__).parents[3] / "docs" / "reference" / "postgresql-wire.md").read_text()
    rows = set(re.findall(r"^\| `(.)` \| (\w+) \| (\w+) \| (.+) \|$", page, re.MULTILINE))
    assert rows == {(chr(tag), entry.name, entry.verdict, entry.reason) for tag, entry in FRONTEND.items()}
