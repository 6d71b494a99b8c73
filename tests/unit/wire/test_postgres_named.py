"""SQL's PREPARE and EXECUTE, DECLARE and FETCH: what runs by a name is judged as what the name stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from playbook import Playbook, Watcher
from tidegate.model.operation import Facts, Verb
from tidegate.wire.postgres_named import inner, running
from tidegate.wire.postgres_names import Names
from unit.wire.messages import (
    NO,
    SYNC,
    bind,
    columns,
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


def ran(*texts: str, status: str = "I", tag: str = "DONE") -> Playbook:
    """A conversation in which these texts ran, each alone."""
    book = play()
    for text in texts:
        book.agent(query(text)).passes().resource(complete(tag) + ready(status))
    book.take_agent(), book.take_resource(), book.results.outcomes.clear()
    return book


def test_execute_is_what_was_prepared() -> None:
    """An EXECUTE has its own text and command, and the verb of the prepared statement."""
    ran("prepare p as select 1").agent(query("execute p(2)")).asks("execute p(2)").operation("execute", Verb.READ)
    ran("prepare p as delete t").agent(query("execute p(2)")).asks("execute p(2)").operation("execute", Verb.WRITE)


def test_execute_says_what_it_runs() -> None:
    """Beside its own text stands the one that the name was given, so that people can read it."""
    made = Facts(Verb.WRITE, "prepare", "prepare p as delete from t", details={"prepared": "p"})
    by = Facts(Verb.EXECUTE, "execute", "execute p", details={"prepared": "p"})
    found = running(made, by)
    assert (found.text, found.runs, inner(made).runs) == ("execute p", "prepare p as delete from t", "")


def test_execute_of_a_statement_from_the_protocol() -> None:
    """SQL may run what a Parse made."""
    book = play().agent(parse("p", "select 1") + SYNC).passes().resource(frame("1") + ready())
    book.agent(query("execute p")).asks("execute p").operation("execute", Verb.READ)


def test_execute_by_the_extended_protocol() -> None:
    """An EXECUTE in a Parse is judged by what is prepared when it runs."""
    book = ran("prepare p as delete t")
    book.agent(parse("", "execute p") + bind() + execute() + SYNC).asks("execute p").operation("execute", Verb.WRITE)


def test_made_and_run_in_one_text() -> None:
    """Within one text a name is known at once: if making it fails, what runs it is skipped."""
    book = play().agent(query("prepare p as select 1; execute p"))
    book.asks("prepare p as select 1", "execute p").allowed()
    assert [op.facts.verb for op in book.results.open] == [Verb.READ, Verb.READ]


def test_unsettled_names_are_waited_for() -> None:
    """A pipelined EXECUTE waits until it is known whether its PREPARE succeeded."""
    book = play().agent(query("prepare p as select 1") + query("execute p")).asks("prepare p as select 1").allowed()
    assert book.nothing().wire.waiting
    book.resource(error() + ready()).agent(b"").asks("execute p").operation("execute", Verb.EXECUTE)


@pytest.mark.parametrize("text", ["execute q", "fetch q", "execute p(spy())"])
def test_what_is_not_known_stays_so(text: str) -> None:
    """An unknown name proves nothing."""
    book = ran("prepare p as select 1").agent(query(text.replace("p(spy())", "r")))
    assert [op.facts.verb for op in book.request().operations] == [Verb.EXECUTE]


def test_a_refused_prepare_made_nothing() -> None:
    """What was refused is no name."""
    book = play().agent(query("prepare p as delete t")).asks("prepare p as delete t").refused(NO)
    book.agent(query("execute p")).asks("execute p").operation("execute", Verb.EXECUTE)


def test_deallocated() -> None:
    """A freed name is unknown, unless freeing it failed."""
    book = ran("prepare p as select 1", "deallocate p").agent(query("execute p")).asks("execute p")
    book.operation("execute", Verb.EXECUTE)
    book = ran("prepare p as select 1").agent(query("deallocate p")).passes().resource(error() + ready())
    book.agent(query("execute p")).asks("execute p").operation("execute", Verb.READ)


def test_fetch_is_what_was_declared() -> None:
    """A FETCH has the verb of the cursor's query, and counts on in the cursor's rows."""
    book = ran("begin", "declare c cursor for select 1", status="T")
    for given in (1, 2):
        book.agent(query("fetch c")).asks("fetch c").operation("fetch", Verb.READ).allowed()
        operation = next(iter(book.results.open))
        book.resource(columns("a") + row(b"1") + complete("FETCH 1") + ready("T"))
        assert operation.given == [given]


@pytest.mark.parametrize(("last", "tag"), [("commit", "COMMIT"), ("rollback", "ROLLBACK")])
def test_a_cursor_ends_with_its_transaction(last: str, tag: str) -> None:
    """After the transaction the cursor's name is unknown."""
    book = ran("begin", "declare c cursor for select 1", status="T").agent(query(last)).passes()
    book.resource(complete(tag) + ready()).agent(query("fetch c")).asks("fetch c").operation("fetch", Verb.EXECUTE)


@pytest.mark.parametrize(("tag", "verb"), [("COMMIT", Verb.READ), ("ROLLBACK", Verb.EXECUTE)])
def test_a_cursor_with_hold_outlives_a_commit(tag: str, verb: Verb) -> None:
    """WITH HOLD: the name is known after a commit, and after later rollbacks; not if its own was rolled back."""
    book = ran("begin", "declare c cursor with hold for select 1", status="T").agent(query("end")).passes()
    book.resource(complete(tag) + ready())
    book.agent(query("rollback")).passes().resource(complete("ROLLBACK") + ready())
    book.agent(query("fetch c")).asks("fetch c").operation("fetch", verb)


def test_execute_of_a_cursors_portal() -> None:
    """The protocol may read on in a cursor of SQL's."""
    book = ran("begin", "declare c cursor for select 1", status="T").agent(execute("c") + SYNC)
    book.asks("declare c cursor for select 1").operation("select", Verb.READ)


def test_understood_anew_by_what_it_runs() -> None:
    """When names change their meaning, an EXECUTE is understood by the prepared statement, not by its own text."""
    book = ran("prepare p as delete t").agent(query("execute p")).asks("execute p").allowed()
    operation = next(iter(book.results.open))
    assert operation.anew is not None and operation.anew().verb is Verb.WRITE


def test_a_cursor_whose_names_changed_proves_nothing() -> None:
    """A cursor's rows are those of its own time: once its text means something else, no flow is taken for proven."""
    details = {"cursor": "c", "commands": ["select"]}
    declare = Facts(Verb.READ, "declare cursor", "declare", outputs=(), filters=frozenset(), details=details)
    now = [declare]
    names = Names(lambda text: tuple(now))
    change = names.ran(declare, 1)
    assert change is not None
    change.settle()
    fetch = Facts(Verb.EXECUTE, "fetch", "fetch c", details={"cursor": "c"})
    operation = names.asked(fetch, 2)
    assert operation is not None and operation.anew is not None and operation.anew() == operation.facts
    now[0] = replace(declare, reads=("public.other",))
    stale = operation.anew()
    assert (stale.verb, stale.outputs, stale.filters, stale.effect) == (Verb.READ, None, None, True)


def test_rows_in_portions_count_as_one_result() -> None:
    """A portal that is read in portions counts its rows over all of them."""
    some = frame("E", b"c\0\0\0\0\1")
    book = play(Watcher(most=9)).agent(query("begin")).passes().resource(complete("BEGIN") + ready("T"))
    book.agent(parse("", "select 1") + bind("c") + some + SYNC).passes()
    book.resource(frame("1") + frame("2") + columns("a") + row(b"1") + frame("s") + ready("T"))
    book.agent(some + SYNC).asks("select 1").allowed()
    operation = next(iter(book.results.open))
    book.resource(row(b"2") + frame("s") + ready("T"))
    assert operation.given == [2]
