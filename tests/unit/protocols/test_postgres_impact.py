"""What a held statement would do, on real servers: estimates, dry runs that leave nothing, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest

from servers import Postgres
from tidegate.enforcement.names import Names
from tidegate.model.impact import Attempt, Impact
from tidegate.model.resource import Address, Field, Resource
from tidegate.model.secret import Credential
from tidegate.operations.definitions import definition_questions
from tidegate.protocols import postgres_catalog
from tidegate.protocols.postgres_catalog import Schema
from tidegate.protocols.postgres_impact import Place, impact, shown

SEED = """
create extension if not exists dblink;
create role clerk; grant clerk to current_user;
create table customers (id int primary key, email text, city text,
  shout text generated always as (upper(email)) stored, notes text);
insert into customers (id, email, city, notes)
  select i, 'zq' || i || '@example.org', (array['Oslo', 'Lima'])[1 + i % 2], 'call' from generate_series(1, 1000) i;
create table orders (id serial primary key, customer int references customers on delete cascade, total numeric,
  at timestamptz default now(), token uuid default gen_random_uuid());
insert into orders (customer, total) select 1 + i % 1000, i from generate_series(1, 3000) i;
create table people (id int primary key, email text, note text);
insert into people values (1, 'zq1@example.org', 'x');
create function copy() returns trigger language plpgsql as $$ begin new.note := new.email; return new; end $$;
create trigger copy before insert or update on people for each row execute function copy();
create view lima as select id, email, city from customers where city = 'Lima';
create table stamped (id int primary key, n int, at timestamptz);
insert into stamped select i, i, null from generate_series(1, 10) i;
create function stamp() returns trigger language plpgsql as $$ begin new.at := now(); return new; end $$;
create trigger stamp before update on stamped for each row execute function stamp();
create table audited (id int primary key, n int); insert into audited values (1, 1);
create table audit (line text);
create function audit() returns trigger language plpgsql as $$
  begin insert into audit values (new.n); return new; end $$;
create trigger audit after update on audited for each row execute function audit();
create table dialled (id int primary key, n int); insert into dialled values (1, 1);
create function dial() returns trigger language plpgsql as $$
  begin perform dblink_exec('dbname=tried', 'insert into audit values (''dialled'')'); return new; end $$;
create trigger dial after update on dialled for each row execute function dial();
create table notified (id int primary key, n int); insert into notified values (1, 1);
create function tell() returns trigger language plpgsql as $$ begin perform pg_notify('c', 'x'); return new; end $$;
create trigger tell after update on notified for each row execute function tell();
create table ruled (id int primary key, n int); insert into ruled values (1, 1);
create rule r as on update to ruled do also insert into audit values ('ruled');
create function spy() returns int language plpgsql volatile as $$
  begin perform dblink_exec('dbname=tried', 'insert into audit values (''spied'')'); return 1; end $$;
create table defaulted (id int primary key, n int default spy());
create table guarded (id int primary key, n int); insert into guarded values (1, 1);
alter table guarded enable row level security;
create policy p on guarded using (n = spy()); grant all on guarded to clerk;
create table parent (id int primary key); insert into parent values (1);
create table child (id int primary key, parent int references parent on delete cascade);
insert into child values (1, 1);
create trigger audit after delete on child for each row execute function audit();
create table deferred (id int primary key, parent int references parent deferrable initially deferred);
create table big (id int primary key, n int); insert into big select i, i from generate_series(1, 120000) i;
create table wide (id int primary key, body text);
insert into wide select i, repeat('x', 3000000) from generate_series(1, 3) i;
create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
create foreign table far (n int) server nowhere;
analyze;
"""

TAGS = {Field("public.customers", "email"): "pii.email", Field("public.people", "email"): "pii.email"}


class Shop:
    """A seeded server, the gateway's knowledge of it, and what it recorded."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.recorded: list[str] = []
        self.resource = Resource("shop", "postgres", Address("127.0.0.1", server.port), "tried", server.user, tags=TAGS)
        self.login = Credential(server.user, server.password)

    def context(self, text: str, *before: str) -> str:
        """What a session says that ran ``before``, as the relay writes it."""
        known = asyncio.run(self.names()).current
        with psycopg.connect(self.server.dsn("tried"), autocommit=True) as agent:
            for each in before:
                agent.execute(each)
            path = agent.execute("select current_schemas(true)").fetchone()
            schema = known.along(path[0] if path else [], "")
            with agent.pipeline():
                answers = [agent.execute(each) for each in definition_questions(schema.classify(text))]
                found = [[list(row) for row in answer.fetchall()] for answer in answers]
            agent.rollback()
            return json.dumps(found)

    async def names(self) -> Names[Schema]:
        """What is known of the database now."""
        names = Names(
            self.resource, lambda: postgres_catalog.load(self.resource, "tried", self.login, self.recorded.append)
        )
        await names.fresh()
        return names

    def look(
        self,
        text: str,
        *before: str,
        run: bool = True,
        parameters: bytes = b"",
        declared: bytes = b"",
        context: str | None = None,
    ) -> Impact:
        """The impact of a text that a session holds which ran ``before``."""
        context = self.context(text, *before) if context is None else context

        async def looked() -> Impact:
            async def borrow(look: Callable[[Credential], Awaitable[Impact]]) -> Impact:
                return await look(self.login)

            async def record(text: str) -> None:
                self.recorded.append(text)

            place = Place(self.resource, await self.names(), borrow, record)
            return await impact(place, Attempt(text, parameters, declared, context), run=run)

        return asyncio.run(looked())

    def all(self) -> str:
        """Everything that is stored."""
        tables = ("customers", "orders", "stamped", "audited", "audit", "dialled", "notified", "ruled", "defaulted",
                  "guarded", "parent", "child", "deferred")  # fmt: skip
        return self.server.psql("".join(f"select '{name}', t.* from {name} t order by 2;" for name in tables), "tried")


@pytest.fixture(scope="module", params=["postgres", "postgres_debian"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A shop, which is as it was when the tests are over."""
    server: Postgres = request.getfixturevalue(request.param)
    server.psql("create database tried")
    server.psql(SEED, "tried")
    found = Shop(server)
    before = found.all()
    yield found
    assert found.all() == before
    server.psql("drop database tried with (force); drop role clerk")


@pytest.mark.parametrize(
    ("text", "objects", "least", "most"),
    [
        ("update customers set city = 'Lima' where city = 'Oslo'", ("public.customers",), 400, 600),
        ("delete from orders", ("public.orders",), 2900, 3100),
        ("select * from lima", ("public.customers",), 400, 600),
        ("insert into orders (customer) select id from customers", ("public.customers", "public.orders"), 900, 1100),
    ],
)
def test_estimate(shop: Shop, text: str, objects: tuple[str, ...], least: int, most: int) -> None:
    """The planner's rows, without anything having run."""
    found = shop.look(text, run=False)
    assert (found.unknown, found.exact, found.objects) == ("", False, objects)
    assert found.rows is not None and least <= found.rows <= most
    assert found.sample_before is None and found.sample_after is None


def test_update(shop: Shop) -> None:
    """The number of rows, and some of them before and after, with tagged values and what they flow into hidden."""
    found = shop.look("update customers set city = 'Rome' where id <= 30")
    assert (found.unknown, found.rows, found.exact) == ("", 30, True)
    before, after = found.sample_before, found.sample_after
    assert before is not None and after is not None and len(before.rows) == len(after.rows) == 20
    assert before.columns == ("id", "email", "city", "shout", "notes")
    assert after.rows[0][1:] == ("[masked]", "Rome", "[masked]", "call")
    assert {row[2] for row in before.rows} == {"Oslo", "Lima"} and {row[1] for row in before.rows} == {"[masked]"}
    assert "zq" not in repr(found)


def test_copies_of_tagged_values_are_hidden(shop: Shop) -> None:
    """What a statement copies from a tagged field is hidden where it would land."""
    found = shop.look("update customers set notes = email where id = 1")
    assert found.sample_after is not None and found.sample_after.rows == [
        ("1", "[masked]", "Lima", "[masked]", "[masked]")
    ]
    assert found.sample_before is not None and found.sample_before.rows[0][4] == "call"


def test_delete_insert_select_merge(shop: Shop) -> None:
    """Each kind of change shows what it can."""
    deleted = shop.look("delete from orders where customer = 1 -- the end")
    assert (deleted.unknown, deleted.rows, deleted.sample_after) == ("", 3, None)
    assert deleted.sample_before is not None and len(deleted.sample_before.rows) == 3
    inserted = shop.look("insert into customers (id, email) values (2001, 'zqnew@example.org'), (2002, null)")
    assert (inserted.rows, inserted.sample_before) == (2, None)
    assert inserted.sample_after is not None and inserted.sample_after.rows[1] == ("2002", None, None, None, None)
    upserted = shop.look("insert into customers (id) values (1), (2003) on conflict (id) do update set city = 'Rome'")
    assert upserted.rows == 2 and upserted.sample_before is not None and len(upserted.sample_before.rows) == 1
    read = shop.look("select id, email as e, upper(email) u, city from lima where id < 100 order by id")
    assert read.rows == 50 and read.sample_after is not None
    assert read.sample_after.rows[0] == ("1", "[masked]", "[masked]", "Lima")
    through = shop.look("update lima set city = 'Rome' where id < 10")
    assert through.rows == 5 and through.sample_after is not None and "zq" not in repr(through)


def test_merge_is_counted(shop: Shop) -> None:
    """MERGE tells how many rows it changed, and shows none."""
    if int(shop.server.psql("show server_version_num")) < 150000:
        return  # it has no MERGE
    text = "merge into customers c using orders o on c.id = o.id when matched then update set city = 'Rome'"
    assert (shop.look(text).rows, shop.look(text).sample_after) == (1000, None)


def test_returning(shop: Shop) -> None:
    """What the statement itself would return is not needed to count, and is not shown."""
    found = shop.look('update customers as "c ""x" set city = \'Rome\' where id = 1 returning email')
    assert (found.unknown, found.rows) == ("", 1) and "zq" not in repr(found)


def test_sequences_advance(shop: Shop) -> None:
    """A number that was drawn is not given back, and people are told."""
    found = shop.look("insert into orders (customer) values (1)")
    assert found.rows == 1 and any("Sequences have advanced" in note for note in found.notes)


def test_harmless_trigger(shop: Shop) -> None:
    """A trigger that only changes the row at hand is tried too."""
    found = shop.look("update stamped set n = n + 1")
    assert (found.unknown, found.rows) == ("", 10)
    assert found.sample_after is not None and all(row[2] for row in found.sample_after.rows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("update audited set n = 2", "the trigger public.audited.audit may have effects"),
        ("update dialled set n = 2", "the trigger public.dialled.dial may have effects"),
        ("update notified set n = 2", "the trigger public.notified.tell may have effects"),
        ("delete from parent", "the trigger public.child.audit may have effects"),
        ("update ruled set n = 2", "is a rule that rewrites the statement"),
        ("insert into defaulted (id) values (1)", "evaluates what is not proven free of effects"),
        ("select * from guarded", "spy is user-defined"),
        ("select spy()", "spy is user-defined"),
        ("update audited set n = 2 where n = spy()", "spy is user-defined"),
        ("select * from customers where dblink_exec('dbname=tried', 'delete from orders') = ''", "it may run code"),
        ("select nextval('orders_id_seq')", "only queries and changes of rows"),
        ("select pg_sleep(100)", "it would fail (SQLSTATE 57014)"),
        ("select * from far", "far is a foreign table"),
        ("select * from customers for update", "it may run code|only queries"),
        ("with x as (delete from orders returning id) select * from x", "changes inside WITH cannot be counted"),
        ("with x as (delete from orders returning id) update customers set city = '' ", "changes inside WITH"),
        ("do $$ begin delete from orders; commit; end $$", "only queries and changes of rows"),
        ("update customers set city = ''; commit", "only a single statement"),
        ("commit", "only queries and changes of rows"),
        ("drop table orders", "only queries and changes of rows"),
        ("truncate orders", "only queries and changes of rows"),
        ("call p()", "only queries and changes of rows"),
        ("lock table orders", "only queries and changes of rows"),
        ("copy orders to stdout", "only queries and changes of rows"),
        ("notify c", "only queries and changes of rows"),
        ("set role clerk", "only queries and changes of rows"),
        ("select into_table from nowhere", "it names what the gateway does not know"),
        ("select 1 into stolen", "only queries and changes of rows"),
        ("explain analyze delete from orders", "only queries and changes of rows"),
        ("execute p", "only queries and changes of rows"),
        ("update big set n = 1", "are too many to try"),
        ("insert into deferred values (1, 99), (1, 98)", "it would fail (SQLSTATE 23505)"),
        ("select rolpassword from pg_authid", "it reads secrets"),
        ("this is no statement", "only queries and changes of rows"),
    ],
)
def test_what_is_not_tried(shop: Shop, text: str, words: str) -> None:
    """Whatever may have an effect that is not taken back, or cannot be read, is refused with a reason."""
    found = shop.look(text)
    assert any(each in found.unknown for each in words.split("|")), found
    assert (found.rows, found.sample_after, found.sample_before) == (None, None, None)


@pytest.mark.parametrize("text", ["select spy()", "insert into defaulted (id) values (1)", "select * from guarded"])
def test_planning_runs_nothing(shop: Shop, text: str) -> None:
    """An estimate is refused where planning could run code; a trigger does not fire, so it does not matter."""
    assert shop.look(text, run=False).unknown
    assert shop.look("update audited set n = 2", run=False).rows == 1


def test_deferred_constraint(shop: Shop) -> None:
    """What would only fail at the end is said."""
    found = shop.look("insert into deferred values (1, 99)")
    assert found.rows == 1 and any("would fail" in note for note in found.notes)


def test_values(shop: Shop) -> None:
    """Bound values are bound again, with their types; where the server does not take them, a generic plan is made."""
    text = "update customers set city = $2 where id < $1"
    bound = b"\0\1\0\0\0\4\0\0\0\x0b\0\0\0\0\0\4Rome"
    found = shop.look(text, parameters=bound, declared=b"\0\0\0\x17\0\0\0\x19")
    assert (found.unknown, found.rows) == ("", 10)
    assert found.sample_after is not None and found.sample_after.rows[0][2] == "Rome"
    wrong = b"\0\1\0\0\0\2\0\x0b\0\0\0\0\0\4Rome"
    assert "it would fail" in shop.look(text, parameters=wrong).unknown or shop.look(text, parameters=wrong).unknown
    generic = shop.look(text, parameters=wrong, run=False)
    assert generic.rows is not None or "cannot plan" in generic.unknown


def test_shown_values() -> None:
    """People read the values by their types; what cannot be taken apart is not shown."""
    bound = b"\0\1\0\0\0\4\0\0\0\x0b\0\0\0\0\0\4Rome"
    assert shown(Attempt("", bound, b"\0\0\0\x17", "")) == ("11", "Rome")
    assert shown(Attempt("", bound[:-1], b"", "")) == ()


def test_large_rows(shop: Shop) -> None:
    """Rows that are too large to be shown leave the impact unknown; no more than the limit is read."""
    assert (
        "too large" in shop.look("update wide set body = body || 'y'").unknown
        or "message" in shop.look("update wide set body = body || 'y'").unknown
    )


def test_locked(shop: Shop) -> None:
    """Nothing waits for somebody else's lock."""
    with psycopg.connect(shop.server.dsn("tried")) as other:
        context = shop.context("update stamped set n = 0")
        other.execute("lock table stamped in share mode")
        assert "is locked" in shop.look("update stamped set n = 0", context=context).unknown
        other.rollback()
        other.execute("select * from stamped for update")
        assert shop.look("update stamped set n = 0", context=context).unknown == "it would fail (SQLSTATE 55P03)"


@pytest.mark.parametrize(
    "before",
    [
        ("create temp table customers (id int, city text)",),
        ("begin", "alter table customers add column more int"),
        ("begin", "create or replace view lima as select id, email, city from customers where id = 1"),
    ],
)
def test_another_meaning(shop: Shop, before: tuple[str, ...]) -> None:
    """What only the session that asks can see is not taken for what everybody sees."""
    found = shop.look("update lima set city = '' where id in (select id from customers)", *before)
    assert "temporary objects" in found.unknown or "means something else" in found.unknown


def test_the_sessions_own_settings(shop: Shop) -> None:
    """Role, path and settings are those of the session that asks."""
    denied = shop.look("update customers set city = ''", "set role clerk")
    assert denied.unknown == "the server cannot plan it (SQLSTATE 42501)"
    shop.server.psql('create schema "odd, ""one"""; create table "odd, ""one""".customers (id int, city text)', "tried")
    found = shop.look("update customers set city = ''", 'set search_path = "odd, ""one""", public')
    shop.server.psql('drop schema "odd, ""one""" cascade', "tried")
    assert (found.unknown, found.rows, found.objects) == ("", 0, ('odd, "one".customers',))
    shown = shop.look("select at from orders where id = 1", "set timezone = 'Asia/Tokyo'")
    assert shown.sample_after is not None and str(shown.sample_after.rows[0][0]).endswith("+09")


@pytest.mark.parametrize("context", ["", "[]", "{}", "[[],[],[]]", "null", '[[],[["session","path"]]]'])
def test_no_context(shop: Shop, context: str) -> None:
    """Without what the session said, nothing is told."""
    assert shop.look("update customers set city = ''", context=context).unknown


def test_recorded_first(shop: Shop) -> None:
    """Every statement on the connection was recorded, and none of them commits."""
    shop.recorded.clear()
    shop.look("update customers set city = 'Rome' where id = 1")
    heads = [text.split()[0].upper() for text in shop.recorded]
    assert "COMMIT" not in heads and heads[-1] == "ROLLBACK" and any("tidegate_changed" in t for t in shop.recorded)


def test_nothing_is_sent_unrecorded(shop: Shop) -> None:
    """If recording fails, nothing is asked."""
    context = shop.context("delete from orders")

    async def looked() -> Impact:
        async def record(text: str) -> None:
            raise RuntimeError("no log")

        async def borrow(look: Callable[[Credential], Awaitable[Impact]]) -> Impact:
            return await look(shop.login)

        return await impact(
            Place(shop.resource, await shop.names(), borrow, record),
            Attempt("delete from orders", b"", b"", context),
            run=True,
        )

    with pytest.raises(RuntimeError):
        asyncio.run(looked())
    assert shop.server.psql("select count(*) from pg_stat_activity where application_name = 'tidegate:impact'") == "0"


@pytest.mark.parametrize(
    "text",
    ["update people set note = 'y'", "insert into people select 2, email, '' from people", "update people set id = 2"],
)
def test_what_a_trigger_copies_is_hidden(shop: Shop, text: str) -> None:
    """A trigger may put a tagged value into any column of its row."""
    found = shop.look(text)
    assert found.exact and found.sample_after is not None, found
    assert "zq1" not in str(found)
