"""The upstream's direction: masks, limits, concealment, and everything an upstream must not do."""

from __future__ import annotations

import pytest

from playbook import Watcher
from tidegate.errors import ResourceError
from tidegate.model.operation import Shape
from tidegate.wire.postgres_responses import OVER
from unit.wire.messages import (
    FLUSH,
    INT,
    JSON,
    JSONB,
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
    row,
)

SELECT = parse("", "select 1") + bind() + describe("P") + execute() + SYNC
BOUND = frame("1") + frame("2")


def hide(value: bytes) -> bytes | None:
    """A mask."""
    return b"[masked]"


def drop(value: bytes) -> bytes | None:
    """A mask that leaves nothing."""
    return None


def test_untouched_bytes_are_the_very_bytes() -> None:
    """With no mask, the same object comes out."""
    wire = play().agent(query("select 1")).passes().wire
    reply = columns("a") + row(b"1") * 100 + complete() + ready()
    results = Watcher()
    book = play(results).agent(query("select 1")).passes()
    assert book.wire.responses(reply, results) is reply
    assert wire is not book.wire


def test_masked_column() -> None:
    """Only the masked column changes; nulls stay null and are not counted."""
    book = play(Watcher({"mail": hide})).agent(query("select 1")).passes()
    head = columns("id", "mail")
    book.resource(head + row(b"1", b"a@b") + row(b"2", None) + complete() + ready())
    book.agent_sees(head + row(b"1", b"[masked]") + row(b"2", None) + complete() + ready())
    assert (book.results.counted, book.results.masked) == (2, 1)


def test_masked_in_extended_protocol() -> None:
    """Masks are asked for by the description of the portal that runs."""
    book = play(Watcher({"mail": drop})).agent(parse("", "select") + bind() + execute() + SYNC).passes()
    book.resource(BOUND + columns("mail") + row(b"a@b") + complete() + ready())
    book.agent_sees(BOUND + row(None) + complete() + ready())


@pytest.mark.parametrize(
    ("kind", "shape"), [(1043, Shape.TEXT), (JSON, Shape.JSON), (INT, Shape.OTHER), (90000, Shape.OTHER)]
)
def test_shapes_and_origins(kind: int, shape: Shape) -> None:
    """A column's shape comes from its type, its origin from table and number."""
    book = play().agent(query("select 1")).passes().resource(columns("a", kind=kind, table=1))
    column = book.results.described[0][0]
    assert (column.shape, str(column.origin), column.unknown) == (shape, "public.people.c1", False)


def test_unknown_origin_is_said() -> None:
    """A table that the catalog does not know makes the column unknown."""
    book = play().agent(query("select 1")).passes().resource(columns("a", table=7))
    assert book.results.described[0][0].unknown


def test_binary_jsonb_keeps_its_version() -> None:
    """The version byte of a binary jsonb value is put back in front of the mask."""
    book = play(Watcher({"doc": hide})).agent(query("select 1")).passes()
    head = columns("doc", kind=JSONB, binary=True)
    book.resource(head + row(b"\x01{}")).agent_sees(head + row(b"\x01[masked]"))


def test_limit_on_rows() -> None:
    """The chunk that passes the limit is withheld, the result ends in an error, and the stream stays in step."""
    book = play(Watcher(most=2)).agent(query("select 1")).passes()
    book.resource(columns("a") + row(b"1") * 2).agent_sees(columns("a") + row(b"1") * 2)
    book.resource(row(b"3") * 5).resource(row(b"4") + complete() + ready()).agent_sees(OVER + ready())
    book.outcomes(("select 1", "ok", ""))


def test_limit_on_rows_in_a_batch_without_sync() -> None:
    """After the limit, the agent's messages up to Sync are dropped, as after any error."""
    book = play(Watcher(most=0)).agent(SELECT[:-5] + b"H\0\0\0\4").passes()
    book.resource(BOUND + columns("a") + row(b"1")).agent_sees(BOUND + columns("a") + OVER)
    book.agent(bind() + execute() + SYNC).passes().resource(complete() + ready()).agent_sees(ready())


def test_large_row_is_streamed() -> None:
    """A row without masks passes before it is complete, and nothing is put into its middle."""
    big = row(b"x" * 200_000)
    book = play().agent(query("select 1")).passes().resource(columns("a") + big[:70_000])
    book.agent_sees(columns("a") + big[:70_000])
    assert book.wire.notice("hello") == b""
    book.resource(big[70_000:] + complete() + ready()).agent_sees(big[70_000:] + complete() + ready())


def test_large_masked_row_is_assembled() -> None:
    """A row with masks passes only when it is whole."""
    big = row(b"x" * 200_000)
    book = play(Watcher({"a": hide})).agent(query("select 1")).passes().resource(columns("a") + big[:70_000])
    book.agent_sees(columns("a")).resource(big[70_000:]).agent_sees(row(b"[masked]"))


def test_error_skips_the_rest_of_its_batch() -> None:
    """An error ends its operation, skips the others up to Sync, and leaves the next batch alone."""
    two = parse("", "select 1") + bind() + describe("P") + execute()
    book = play().agent(two + two + SYNC + SELECT).passes()
    book.resource(BOUND + columns("a") + error("22012") + ready() + BOUND + columns("a") + complete() + ready())
    book.outcomes(("select 1", "error", "22012"), ("select 1", "skipped", ""), ("select 1", "ok", ""))
    assert book.wire.pending == 0


def test_error_without_a_sync_drops_what_follows() -> None:
    """While the server skips to the next Sync, the agent's messages are dropped unjudged, as it would drop them."""
    book = play().agent(parse("", "select 1/0") + FLUSH).passes().resource(error("22012"))
    book.agent(parse("", "delete t") + FLUSH + SYNC).asks().allowed().asks().allowed().asks().allowed().nothing()
    book.resource_sees(parse("", "select 1/0") + FLUSH + SYNC).resource(ready())
    assert book.wire.pending == 0


def test_error_while_a_request_is_being_decided() -> None:
    """A request that was made before the error and forwarded after it was skipped by the server."""
    book = play().agent(parse("", "select 1/0") + FLUSH).passes()
    book.agent(parse("a", "update t") + SYNC).asks("update t").resource(error("22012")).allowed().resource(ready())
    book.outcomes(("select 1/0", "error", "22012"), ("update t", "skipped", ""))
    assert book.wire.pending == 0


def test_error_in_a_query_of_several_statements() -> None:
    """The failing statement is named by its code, those behind it are skipped."""
    book = play().agent(query("select 1; select 2; select 3")).passes()
    book.resource(columns("a") + complete() + error("22012") + ready())
    book.outcomes(("select 1", "ok", ""), ("select 2", "error", "22012"), ("select 3", "skipped", ""))


def test_suspended_portal() -> None:
    """A portal that stops at its limit of rows ends that Execute well."""
    book = play().agent(SELECT).passes().resource(BOUND + columns("a") + row(b"1") + frame("s") + ready())
    book.outcomes(("select 1", "ok", ""))


def test_concealed_error() -> None:
    """Only severity and SQLSTATE are left of an error that may hold masked values."""
    book = play(Watcher(concealing=True)).agent(query("insert")).passes()
    book.resource(error("23505", "duplicate key", "Key (mail)=(a@b) already exists.") + ready())
    told = book.take_agent()
    assert b"a@b" not in told and b"C23505\0" in told and b"details are withheld" in told


def test_concealed_notification() -> None:
    """A notification keeps its channel and loses its payload."""
    book = play(Watcher(concealing=True)).resource(frame("A", b"\0\0\0\1news\0a@b\0"))
    book.agent_sees(frame("A", b"\0\0\0\1news\0\0"))
    assert book.results.arrivals == ["notification on news"]


def test_notification_that_policy_withholds() -> None:
    """A notification is an operation of its own: what is not allowed does not arrive, wherever it comes."""
    told = frame("A", b"\0\0\0\1news\0x\0")
    book = play(Watcher(passing=False)).agent(query("select 1")).passes()
    book.resource(told + columns("a") + told + row(b"1") + told + complete() + told + ready() + told)
    book.agent_sees(columns("a") + row(b"1") + complete() + ready())
    assert len(book.results.arrivals) == 5


@pytest.mark.parametrize("body", [b"\0\0\0\1", b"\0\0\0\1news\0", b"\0\0\0\1news\0x\0y\0", b"\0\0\0\1news\0x"])
def test_broken_notification(body: bytes) -> None:
    """A notification has a channel and a payload, each a string."""
    with pytest.raises(ResourceError, match="notification"):
        play().resource(frame("A", body))


def test_copy_out_is_counted() -> None:
    """COPY data from the server passes and counts as rows."""
    reply = frame("H", b"\0\0\0") + frame("d", b"1\n") * 3 + frame("c") + complete("COPY 3") + ready()
    book = play().agent(query("copy t to stdout")).passes().resource(reply).agent_sees(reply)
    assert book.results.counted == 3


def test_fatal_error_out_of_the_blue_passes() -> None:
    """A server that shuts down may say so at any time."""
    fatal = error("57P01", severity="FATAL")
    play().resource(fatal).agent_sees(fatal)


@pytest.mark.parametrize("name", ["client_encoding", "standard_conforming_strings"])
def test_changed_language_ends_the_session(name: str) -> None:
    """Rule 9: a setting that changes how statements are read ends the session when it is seen."""
    with pytest.raises(ResourceError, match=name):
        play().resource(frame("S", f"{name}\0off\0".encode()))


def test_other_settings_are_told() -> None:
    """Other reports of settings pass and are told to the session."""
    book = play().resource(frame("S", b"TimeZone\0UTC\0"))
    assert book.results.settings == {"TimeZone": "UTC"}


@pytest.mark.parametrize(
    "data",
    [
        frame("W", b"\0\0\0"),
        frame("K", b"\0" * 8),
        frame("R", b"\0" * 4),
        frame("?"),
        b"D\0\0\0\3",
        b"C\x7f\xff\xff\xff",
        row(b"1"),
        frame("d", b"1"),
        frame("2"),
        ready("I"),
        error(),
        frame("T", b"\0\1a\0"),
        frame("S", b"name"),
    ],
)
def test_unasked_or_broken_is_the_upstreams_fault(data: bytes) -> None:
    """With nothing under way, none of these has a place."""
    with pytest.raises(ResourceError):
        play().resource(data)


@pytest.mark.parametrize(
    "data", [row(b"1", b"2"), row(), frame("D", b"\0\1\0\0\0\x09a"), frame("D", b"\0"), frame("D", b"\0\1\0\0\0\1ab")]
)
def test_rows_that_do_not_fit_their_columns(data: bytes) -> None:
    """A masked result's rows must have exactly the announced cells."""
    book = play(Watcher({"a": hide})).agent(query("select 1")).passes().resource(columns("a"))
    with pytest.raises(ResourceError):
        book.resource(data)


@pytest.mark.parametrize("kind", ["G", "H", "W"])
def test_copy_that_nothing_asked_for(kind: str) -> None:
    """A read is not answered by COPY data, which no mask would see."""
    book = play(Watcher({"a": hide})).agent(query("select 1")).passes()
    with pytest.raises(ResourceError, match="COPY"):
        book.resource(frame(kind, b"\0\0\0"))


def test_more_cells_than_columns() -> None:
    """A row has the announced number of columns, also where nothing is masked."""
    book = play().agent(query("select 1")).passes().resource(columns("a"))
    with pytest.raises(ResourceError, match="number of columns"):
        book.resource(row(b"1", b"2"))


def test_copy_both() -> None:
    """In replication both sides send, and each ends its own data."""
    book = play().agent(query("copy start_replication")).passes().resource(frame("W", b"\0\0\0"))
    book.agent(frame("d", b"status")).passes().resource(frame("d", b"change") * 2)
    book.agent(frame("c")).passes().resource(frame("c") + complete("COPY 0") + ready())
    book.outcomes(("copy start_replication", "ok", ""))
    assert (book.results.counted, book.wire.pending) == (2, 0)


def test_a_whole_row_is_left_to_its_lineage() -> None:
    """A column that is a table's whole row has no attribute number: it is not an unknown column."""
    book = play().agent(query("select 1")).passes()
    head = columns("o", table=1).replace(b"\0\0\0\1\0\1", b"\0\0\0\1\0\0")
    assert not book.resource(head).results.described[0][0].unknown


def test_more_results_than_statements() -> None:
    """A server that answers more than was asked is not believed."""
    book = play().agent(query("select 1")).passes().resource(columns("a") + complete())
    with pytest.raises(ResourceError, match="more results"):
        book.resource(columns("b"))
