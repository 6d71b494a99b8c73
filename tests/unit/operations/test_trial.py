"""What may be estimated or tried, and what is sent to try it."""

from __future__ import annotations

import pytest

from tidegate.model.operation import Facts, Verb
from tidegate.operations.catalog import Catalog, Relation
from tidegate.operations.sql import Classifier
from tidegate.operations.sql_parse import parse
from tidegate.operations.trial import Trial, beside_objection, objection, quoted, read_objection, trial

T = Relation(1, "public", "t", "table", ("id", "n"))
CATALOG = Catalog(path=("pg_catalog", "public"), _relations={1: T}, _names={("public", "t"): T})


def facts(text: str) -> Facts:
    """What is known of one statement."""
    (found,) = Classifier(CATALOG).classify(text)
    return found


@pytest.mark.parametrize(
    "text", ["select * from t", "update t set n = 1", "delete from t where id = $1", "insert into t values (1)"]
)
def test_allowed(text: str) -> None:
    """Plain queries and changes of rows."""
    assert objection(facts(text)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "select f()",
        "select * from u",
        "select nextval('s')",
        "select 1 into x",
        "create table x as select 1",
        "explain select 1",
        "begin",
        "do 'begin end'",
        "prepare p as delete from t",
        "not sql",
    ],
)
def test_refused(text: str) -> None:
    """Anything else, with a reason."""
    assert objection(facts(text))


def test_facts_alone_do_not_do() -> None:
    """Facts that claim to be those of a change do not make a change of another statement."""
    assert objection(Facts(Verb.WRITE, "update", "commit", details={"commands": ["update"]}))


@pytest.mark.parametrize(
    "text",
    [
        "update t set n = 1 -- )",
        "update t as \"a b\" set n = 1 where id in (select 1) returning id, n",
        "delete from only t using t as u where t.id = u.id",
        "insert into t values (1, $1) on conflict (id) do update set n = 2 RETURNING *",
        "with x as (select 1) update t set n = 1",
        "select * from t order by 1 limit 5",
        "values (1), (2)",
        "table t",
    ],
)  # fmt: skip
def test_a_trial_is_one_query(text: str) -> None:
    """What is sent is one SELECT around the statement, which ends nothing by itself."""
    made = trial(text, CATALOG, ("id",))
    assert isinstance(made, Trial), made
    (statement,) = parse(made.text)
    assert statement.kind == "SelectStmt"
    assert made.paired is (made.kind == "update" or "conflict" in text)


@pytest.mark.parametrize(
    "text",
    [
        "update u set n = 1",
        "with x as (delete from t returning id) select * from x",
        "update t set n = 1 returning /* x */ id",
        "update t set n = 1 returning with (old as o) o.n",
    ],
)
def test_no_trial(text: str) -> None:
    """What cannot be counted for certain is not tried."""
    assert isinstance(trial(text, CATALOG), str)


def trigger(body: str, language: str = "plpgsql") -> tuple[str, str, str]:
    """A trigger beside a change."""
    definition = f"create function f() returns trigger language {language} as $$ {body} $$"
    return "trigger", "public.t.f", definition


@pytest.mark.parametrize(
    "body",
    [
        "begin return new; end",
        "begin new.at := now(); if tg_op = 'UPDATE' and new.n > old.n then new.n = 5; end if; return new; end",
        "declare x int := 1; begin raise notice '%', '{}}'; select n into x from public.t; return new; end",
    ],
)
def test_harmless_triggers(body: str) -> None:
    """A function that only computes and reads."""
    assert beside_objection(CATALOG, [trigger(body)], run=True) == ("", ())


@pytest.mark.parametrize(
    "body",
    [
        "begin insert into public.t values (1); return new; end",
        "begin perform pg_notify('c', 'x'); return new; end",
        "begin perform dblink_exec('x', 'y'); return new; end",
        "begin execute 'delete from t'; return new; end",
        "begin perform nextval('s'); return new; end",
        "begin perform set_config('a.b', 'c', false); return new; end",
        "declare c text := '{}}'; begin new.n := unknown_function(); return new; end",
        "begin set work_mem = '1MB'; return new; end",
        "begin commit; return new; end",
        "begin copy t to program 'x'; return new; end",
        "not plpgsql",
        "",
    ],
)
def test_other_triggers(body: str) -> None:
    """One that may do more, or cannot be read; it does not matter to an estimate or a read."""
    assert "the trigger public.t.f" in beside_objection(CATALOG, [trigger(body)], run=True)[0]
    assert beside_objection(CATALOG, [trigger(body)], run=False) == ("", ())
    assert read_objection(CATALOG, [trigger(body)]) == ""


def test_triggers_of_other_languages() -> None:
    """Nobody reads them."""
    for definition in (trigger("return None", "plpython3u"), ("trigger", "public.t.f", "")):
        assert beside_objection(CATALOG, [definition], run=True)[0]


@pytest.mark.parametrize(
    ("text", "harmless"),
    [("now()", True), ("upper((email)::text)", True), ("nextval('s'::regclass)", True), ("public.f(n)", False)],
)
def test_expressions(text: str, harmless: bool) -> None:
    """What the catalog evaluates beside a change is proven as a statement is; a sequence is allowed, and told."""
    words, notes = beside_objection(CATALOG, [("expression", "public.t (default)", text)], run=True)
    assert (words == "") is harmless and bool(notes) is text.startswith("nextval")


@pytest.mark.parametrize("kind", ["foreign", "rule", "type"])
def test_what_may_not_stand_beside(kind: str) -> None:
    """Foreign tables, rules, and types with functions of their own."""
    assert beside_objection(CATALOG, [(kind, "public.x", "")], run=False)[0].startswith("public.x is a ")


def test_quoted() -> None:
    """A name stays a name."""
    assert quoted('a"; drop table t; --') == '"a""; drop table t; --"'
