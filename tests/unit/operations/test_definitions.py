"""What a statement resolves to in a session: every change of it is seen, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from servers import Postgres
from tidegate.model.operation import Facts, Verb
from tidegate.operations.catalog import QUERIES, Catalog
from tidegate.operations.definitions import definition_questions
from tidegate.operations.sql import Classifier

SEED = """
create role other; grant other to current_user; grant create, usage on schema public to other;
create schema early; create schema elsewhere;
create function deepest(n int) returns int language sql as 'select n + 1';
create function deep(n int) returns int language sql as 'select deepest(n)';
create function counted(n int) returns int language plpgsql as $$ begin return deep(n); end $$;
create domain amount as int check (value > 0);
create type mood as enum ('good', 'bad');
create table accounts (id serial primary key, n amount default counted(1), owner text, feeling mood);
create table notes (id int primary key, account int references accounts on delete cascade, text text);
create table parts (id int, n int) partition by range (id);
create table parts_low partition of parts for values from (0) to (100);
create table quiet (id int primary key, n int);
create view rich as select id, n from accounts where n > 100;
create view richer as select id, n from rich where n > 1000;
create function react() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger reacts before update on accounts for each row execute function react();
create table guarded (id int, tenant text);
alter table guarded enable row level security;
create policy mine on guarded using (tenant = current_setting('app.tenant', true));
create function same(a text, b int) returns boolean language sql as 'select a = b::text';
create operator === (leftarg = text, rightarg = int, function = same);
create function textual(n int) returns int language plpgsql as $$ declare x int;
  begin execute 'select dee' || 'pest($1)' into x using n; return x; end $$;
"""

Asked = Callable[[str], object]


@pytest.fixture(scope="module", params=["postgres", "postgres_debian"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Postgres, Catalog]]:
    """A server with a database ``resolved``, and its catalog."""
    found: Postgres = request.getfixturevalue(request.param)
    found.psql("create database resolved")
    found.psql(SEED, "resolved")
    with psycopg.connect(found.dsn("resolved"), autocommit=True) as reader:
        path = reader.execute(QUERIES["path"]).fetchall()
        reader.execute("set search_path = pg_catalog")
        rows = {
            name: [[_text(cell) for cell in row] for row in reader.execute(query)] for name, query in QUERIES.items()
        }
    yield found, Catalog.build({**rows, "path": path})
    found.psql("drop database resolved with (force); drop role other")


def _text(cell: object) -> str | None:
    return (
        None if cell is None else {True: "t", False: "f"}.get(cell, str(cell)) if isinstance(cell, bool) else str(cell)
    )


class Session:
    """One session, and what it says statements resolve to in it."""

    def __init__(self, server: tuple[Postgres, Catalog], database: str = "resolved") -> None:
        self.connection = psycopg.connect(server[0].dsn(database), autocommit=True)
        self._classifier = Classifier(server[1])

    def does(self, text: str) -> None:
        """Run a statement in it."""
        self.connection.execute(text)

    def facts(self, text: str) -> tuple[Facts, ...]:
        """What is known of a statement."""
        return self._classifier.classify(text)

    def says(self, *operations: Facts) -> dict[tuple[str, str], str | None]:
        """The definitions, asked in one implicit transaction as the gateway does it."""
        with self.connection.pipeline():
            answers = [self.connection.execute(question) for question in definition_questions(operations)]
            return {(kind, name): mark for kind, name, mark in answers[1].fetchall()}

    def resolves(self, text: str) -> dict[tuple[str, str], str | None]:
        """The same for a text."""
        return self.says(*self.facts(text))


@pytest.fixture
def session(server: tuple[Postgres, Catalog]) -> Iterator[Session]:
    """A session."""
    found = Session(server)
    yield found
    found.connection.close()


CHANGE = "update accounts set n = 2 where id = 1"
REMOVAL = "delete from accounts where id = 1"
ADDITION = "insert into parts values (1, 2)"
CALL_OPERATOR = "select owner === 1 from accounts"
DO = "do $$ begin perform deep(1); end $$"
CALL = "select counted(n) from quiet"

CHANGES = [
    (CALL, "create or replace function counted(n int) returns int language sql as 'select deep(n) + 0'"),
    (CALL, "create or replace function deep(n int) returns int language sql as 'select deepest(n) + 0'"),
    (CALL, "create or replace function deepest(n int) returns int language sql as 'select n + 2'"),
    (CALL, "alter function deepest(int) owner to other"),
    (CALL, "alter function deepest(int) set search_path = elsewhere"),
    (CALL, "create function counted(n bigint) returns int language sql as 'select 1'"),
    (CALL, "create function elsewhere.deepest(n int) returns int language sql as 'select 7'"),
    (CHANGE, "alter table accounts add column more int"),
    (CHANGE, "alter table accounts alter column owner set default 'nobody'"),
    (CHANGE, "alter table accounts alter column owner type varchar(20)"),
    (CHANGE, "alter table accounts rename column more to fewer"),
    (CHANGE, "alter table accounts add constraint few check (n < 1000000)"),
    (CHANGE, "alter table accounts disable trigger reacts"),
    (CHANGE, "alter table accounts enable always trigger reacts"),
    (CHANGE, "create trigger further after update on accounts for each row execute function react()"),
    (CHANGE, "create or replace function react() returns trigger language plpgsql as $$ begin return old; end $$"),
    (CHANGE, "create rule nothing as on update to accounts where new.n = 77 do instead nothing"),
    (CHANGE, "alter table accounts disable rule nothing"),
    (CHANGE, "alter table accounts enable row level security"),
    (CHANGE, "create policy all_of_them on accounts using (true)"),
    (CHANGE, "alter policy all_of_them on accounts using (n > 0)"),
    (CHANGE, "alter domain amount add constraint small check (value < 2000000)"),
    (CHANGE, "alter type mood add value 'fair'"),
    (CHANGE, "alter sequence accounts_id_seq increment by 5"),
    (CHANGE, "create table children () inherits (accounts)"),
    (CHANGE, "alter table accounts owner to other"),
    (CHANGE, "create operator public.<> (leftarg = point, rightarg = int, function = same_point)"),
    (CHANGE, "create cast (mood as int) with function of_mood(mood)"),
    (REMOVAL, "alter table notes add column further text default deepest(1)::text"),
    (REMOVAL, "create trigger r before delete on notes for each row execute function react()"),
    (ADDITION, "create trigger r before insert on parts_low for each row execute function react()"),
    (ADDITION, "create table parts_high partition of parts for values from (100) to (200)"),
    ("select * from richer", "create or replace view rich as select id, n from accounts where n > 1"),
    ("update richer set n = 2", "create or replace view richer as select id, n from rich where n > 999"),
    ("select (q).counted from quiet q", "create function counted(q quiet) returns int language sql as 'select 1'"),
    (CALL_OPERATOR, "create or replace function same(a text, b int) returns bool language sql as 'select true'"),
    ("select 5::amount", "alter domain amount set default 3"),
    ("select nextval('accounts_id_seq')", "alter sequence accounts_id_seq increment by 2"),
    ("select * from guarded", "alter policy mine on guarded using (true)"),
    ("select textual(1)", "create or replace function deepest(n int) returns int language sql as 'select n + 3'"),
    (DO, "create or replace function deepest(n int) returns int language sql as 'select 4'"),
    ("select lower(owner) from accounts", "create function lower(name) returns text language sql as 'select 1::text'"),
    ("create index on quiet (n)", "create event trigger watching on ddl_command_end execute function watched()"),
    ("call settle()", "create or replace procedure settle() language sql as 'delete from notes'"),
]  # fmt: skip
"""Statements, and what another session does that changes what they mean or do."""

PREPARED = """
create function same_point(a point, b int) returns boolean language sql as 'select true';
create function of_mood(m mood) returns int language sql as 'select 1';
create function watched() returns event_trigger language plpgsql as $$ begin end $$;
create procedure settle() language sql as 'delete from notes where false';
"""


def test_every_change_is_seen(server: tuple[Postgres, Catalog]) -> None:
    """Whatever another session changes of what a statement resolves to changes the answer; asking alone does not."""
    server[0].psql("create database changed template resolved")
    server[0].psql(PREPARED, "changed")
    session = Session(server, "changed")
    unseen = []
    for statement, change in CHANGES:
        before = session.resolves(statement)
        assert before == session.resolves(statement)
        server[0].psql(change, "changed")
        if session.resolves(statement) == before:
            unseen.append((statement, change))
    session.connection.close()
    server[0].psql("drop database changed with (force)")
    assert unseen == []


@pytest.mark.parametrize(
    "change",
    [
        "create temp table accounts (id int, n int)",
        "set search_path = early, public",
        "set role other",
        "set timezone = 'Asia/Tokyo'",
        "set datestyle = 'German'",
        "set row_security = off",
        "set session_replication_role = replica",
        "set default_transaction_read_only = on",
        "set transform_null_equals = on",
        "set app.tenant = 'another'",
    ],
)
def test_own_changes_are_seen(session: Session, change: str) -> None:
    """So does what the session itself changes of its names, its role and its settings."""
    statement = "update accounts set n = (select count(*) from guarded) where id = 1"
    before = session.resolves(statement)
    session.does(change)
    assert session.resolves(statement) != before


def test_shadowed_by_a_schema(server: tuple[Postgres, Catalog], session: Session) -> None:
    """A relation or function that comes to stand earlier on the search path is what is meant from then on."""
    session.does("set search_path = early, public")
    before = session.resolves(CALL)
    server[0].psql("create function early.counted(n int) returns int language sql as 'select 9'", "resolved")
    after = session.resolves(CALL)
    server[0].psql("create table early.quiet (n int)", "resolved")
    last = session.resolves(CALL)
    server[0].psql("drop schema early cascade; create schema early", "resolved")
    assert ("function", "early.counted") in after.keys() - before.keys()
    assert ("relation", "early.quiet") in last.keys() - after.keys() and ("relation", "public.quiet") in after


@pytest.mark.parametrize(
    "statement", [CHANGE, CALL, "select * from richer", "delete from accounts", "select textual(1)"]
)
def test_noise_is_not_seen(server: tuple[Postgres, Catalog], session: Session, statement: str) -> None:
    """Rows that change, statistics, vacuum, indexes, and other sessions' temporary tables change nothing."""
    before = session.resolves(statement)
    server[0].psql(
        "insert into quiet select i, i from generate_series(1, 2000) i on conflict do nothing; "
        "update quiet set n = n + 1",
        "resolved",
    )
    server[0].psql(
        "create temp table quiet (n int); create temp table scratch (n int); "
        "create index if not exists noise on public.quiet (n); drop index public.noise",
        "resolved",
    )
    for text in ("analyze", "vacuum", "vacuum (freeze)", "select nextval('accounts_id_seq')", "reindex table quiet"):
        server[0].psql(text, "resolved")
    assert session.resolves(statement) == before


def test_unrelated_definitions_are_not_seen(server: tuple[Postgres, Catalog], session: Session) -> None:
    """A table that the statement has nothing to do with may change."""
    before = session.resolves("update quiet set n = 1")
    server[0].psql("alter table guarded add column if not exists further int", "resolved")
    assert session.resolves("update quiet set n = 1") == before


def test_many_definitions(server: tuple[Postgres, Catalog]) -> None:
    """Of many objects there is one mark for each kind, which changes with any of them."""
    server[0].psql("create database many template resolved")
    server[0].psql(
        "do $$ begin for i in 1..600 loop execute format('create function many%s() returns int language sql as %L', i, "
        "'select 1'); end loop; end $$",
        "many",
    )
    session = Session(server, "many")
    before = session.resolves("select textual(1)")
    server[0].psql("create or replace function many77() returns int language sql as 'select 2'", "many")
    after = session.resolves("select textual(1)")
    session.connection.close()
    server[0].psql("drop database many with (force)")
    assert {key for key in before if before[key] != after.get(key)} == {("function", "*")}


def test_one_transaction_redefines_twice(session: Session) -> None:
    """Two versions made by one transaction have OID and xmin in common, and are told apart."""
    session.does("begin")
    session.does("create or replace function deepest(n int) returns int language sql as 'select 10'")
    before = session.resolves(CALL)
    session.does("create or replace function deepest(n int) returns int language sql as 'select 11'")
    assert session.resolves(CALL)["function", "public.deepest"] != before["function", "public.deepest"]
    session.does("rollback")


def test_answers_are_the_same_in_two_sessions(server: tuple[Postgres, Catalog], session: Session) -> None:
    """A retry from another session meets the same definitions, whatever its temporary schema is called."""
    other = Session(server)
    for one in (session, other):
        one.does("create temp table mine (n int)")
    assert {key for key in session.resolves("select * from mine, quiet") if key[0] == "session"} == {
        key for key in other.resolves("select * from mine, quiet") if key[0] == "session"
    }
    assert session.resolves(CHANGE) == other.resolves(CHANGE)
    other.connection.close()


def test_hostile_search_path(server: tuple[Postgres, Catalog], session: Session) -> None:
    """Operators, functions and types that an agent puts before the built-in ones are not used by the question."""
    server[0].psql(
        """create schema trap;
        create function lied() returns boolean language plpgsql as $$ begin raise exception 'run'; end $$;
        create function trap.lie(oid, oid) returns boolean language sql as 'select lied()';
        create operator trap.= (leftarg = oid, rightarg = oid, function = trap.lie);
        create function trap.lie(text, text) returns boolean language sql as 'select lied()';
        create operator trap.= (leftarg = text, rightarg = text, function = trap.lie);
        create operator trap.~ (leftarg = text, rightarg = text, function = trap.lie);
        create function trap.lie(name, text) returns boolean language sql as 'select lied()';
        create operator trap.= (leftarg = name, rightarg = text, function = trap.lie);
        create function trap.lie("char", "char") returns boolean language sql as 'select lied()';
        create operator trap.= (leftarg = "char", rightarg = "char", function = trap.lie);
        create operator trap.<> (leftarg = "char", rightarg = "char", function = trap.lie);
        create function trap.lower(text) returns text language sql as 'select lied()::text';
        create function trap.strpos(text, text) returns int language sql as 'select lied()::int';
        create domain trap.text as pg_catalog.text check (false);
        create domain trap.json as pg_catalog.json check (false);
        create table trap.pg_class (n int)""",
        "resolved",
    )
    session.does("set search_path = trap, public, pg_catalog")
    assert ("relation", "public.quiet") in session.resolves("select counted(n) from quiet")
    server[0].psql("drop schema trap cascade; drop function lied()", "resolved")


def test_jit_is_as_before(session: Session) -> None:
    """The session's own settings stay as they were, in a transaction and outside."""
    before = session.connection.execute("show jit").fetchone()
    session.resolves(CHANGE)
    assert session.connection.execute("show jit").fetchone() == before
    session.does("begin")
    session.resolves(CHANGE)
    assert session.connection.execute("show jit").fetchone() == before
    session.does("rollback")


def test_what_a_name_runs(session: Session) -> None:
    """EXECUTE resolves to what was prepared; a name that nobody knows may be anything, so everything counts."""
    known = Facts(Verb.WRITE, "execute", "execute p", runs=CHANGE)
    assert ("relation", "public.accounts") in session.says(known)
    unknown = session.says(*session.facts("execute p"))
    assert ("relation", "public.quiet") in unknown and ("function", "public.textual") in unknown


@pytest.mark.parametrize(
    "text",
    [
        "select 'it''s', 'O''Reilly \\ %s {} $1', \"odd \"\"name\"\"\" from \"we'ird\"",
        "select * from " + ", ".join(f"t{i}" for i in range(5000)),
        "this is no statement; drop table \u2028 x",
        "select '" + "x" * 300_000 + "'",
        "",
    ],
)
def test_any_text_can_be_asked_about(session: Session, text: str) -> None:
    """Quotes, many names, long texts and what cannot be parsed make a question all the same."""
    assert ("session", "role") in session.resolves(text)
