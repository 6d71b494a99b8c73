"""psycopg 3: sync and async, pipelines, binary, server cursors, COPY, prepared statements, notifications."""

import asyncio

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from trials import Trials

tried = Trials()
PEOPLE = "select id, name, email, born, score, active, tags, extra, avatar from customers where id <= %s order by id"


@tried("parameters, text results")
def text() -> object:
    with psycopg.connect() as connection:
        return connection.execute(PEOPLE, [3]).fetchall()


@tried("parameters, binary results")
def binary() -> object:
    with psycopg.connect() as connection, connection.cursor(binary=True) as cursor:
        return cursor.execute(PEOPLE, [3]).fetchall()


@tried("client-side binding cursor")
def client_side() -> object:
    with psycopg.connect(cursor_factory=psycopg.ClientCursor) as connection:
        return connection.execute(PEOPLE, [2]).fetchall()


@tried("prepared statements, by use and by demand")
def prepared() -> object:
    with psycopg.connect(prepare_threshold=2) as connection:
        found = [connection.execute("select city from customers where id = %s", [i]).fetchone() for i in range(1, 9)]
        return found, connection.execute("select %s::int", [4], prepare=True).fetchone()


@tried("pipeline mode with an error in the middle")
def pipeline() -> object:
    with psycopg.connect(autocommit=True) as connection:
        states: list[object] = []
        with connection.pipeline() as line:
            good = connection.execute("select 1")
            line.sync()
            try:
                connection.execute("select 1/0")
                line.sync()
            except psycopg.Error as error:
                states.append(error.sqlstate)
            after = connection.execute("select 2")
            return good.fetchall(), states, after.fetchall()


@tried("executemany (a pipeline) with RETURNING")
def many() -> object:
    with psycopg.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("insert into notes (body) values (%s) returning id", [("a",), ("b",)], returning=True)
        first = cursor.fetchone()
        return first, cursor.nextset(), cursor.fetchone()


@tried("server-side cursor, scrolling")
def server_cursor() -> object:
    with psycopg.connect() as connection, connection.cursor("c", scrollable=True) as cursor:
        cursor.execute("select id, email from customers order by id")
        cursor.scroll(50)
        return cursor.fetchmany(3), cursor.fetchone()


@tried("server-side cursor with parameters, binary")
def server_cursor_binary() -> object:
    with psycopg.connect() as connection, connection.cursor("d", binary=True) as cursor:
        cursor.execute("select id, total, placed from orders where id > %s order by id", [990])
        return cursor.fetchall()


@tried("COPY out and in, text")
def copy_text() -> object:
    with psycopg.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("copy notes (body, feeling) from stdin") as copy:
            for number in range(100):
                copy.write_row((f"note {number}", "sad"))
        with cursor.copy("copy (select id, total from orders order by id limit 5) to stdout") as copy:
            found = list(copy.rows())
        return found, cursor.execute("select count(*) from notes").fetchone()


@tried("COPY out and in, binary")
def copy_binary() -> object:
    with psycopg.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("copy notes (id, body) from stdin (format binary)") as copy:
            copy.set_types(["int8", "text"])
            copy.write_row((5000, "binary"))
        with cursor.copy("copy (select id, body from notes where id = 5000) to stdout (format binary)") as copy:
            copy.set_types(["int8", "text"])
            found = list(copy.rows())
        return found


@tried("COPY given up by the client, the session goes on")
def copy_given_up() -> object:
    with psycopg.connect(autocommit=True) as connection, connection.cursor() as cursor:
        try:
            with cursor.copy("copy notes (body) from stdin") as copy:
                copy.write_row(("never",))
                raise KeyError("enough")
        except KeyError:
            return connection.execute("select count(*) from notes where body = 'never'").fetchone()


@tried("nested transactions")
def nested() -> object:
    with psycopg.connect() as connection:
        try:
            with connection.transaction():
                connection.execute("insert into notes (body) values ('outer')")
                with connection.transaction():
                    connection.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            return connection.execute("select count(*) from notes where body = 'outer'").fetchone()


@tried("async: queries, server cursor, pipeline, COPY")
def asynchronous() -> object:
    async def story() -> object:
        async with await psycopg.AsyncConnection.connect() as connection:
            found = await (await connection.execute(PEOPLE, [2])).fetchall()
            async with connection.cursor("a") as cursor:
                await cursor.execute("select id from orders order by id")
                some = await cursor.fetchmany(3)
            async with connection.pipeline():
                one = await connection.execute("select 1")
                two = await connection.execute("select 2")
                both = (await one.fetchone(), await two.fetchone())
            async with connection.cursor().copy("copy (select 1 union select 2) to stdout") as copy:
                return found, some, both, [bytes(chunk) async for chunk in copy]

    return asyncio.run(story())


@tried("LISTEN and NOTIFY, notifies()", withheld="hello")
def notifies() -> object:
    with psycopg.connect(autocommit=True) as listener, psycopg.connect(autocommit=True) as speaker:
        listener.execute("listen news")
        speaker.execute("select pg_notify('news', 'hello')")
        return [(heard.channel, heard.payload) for heard in listener.notifies(timeout=20, stop_after=1)]


@tried("several statements in one text, several results")
def several() -> object:
    with psycopg.connect() as connection:
        cursor = connection.execute("select 1; select 2, 3")
        return cursor.fetchall(), cursor.nextset(), cursor.fetchall()


@tried("type look-ups: TypeInfo of an enum, a range, a composite")
def type_info() -> object:
    from psycopg.types import TypeInfo
    from psycopg.types.composite import CompositeInfo
    from psycopg.types.enum import EnumInfo, register_enum

    with psycopg.connect() as connection:
        mood, row = EnumInfo.fetch(connection, "mood"), CompositeInfo.fetch(connection, "orders")
        assert mood is not None and row is not None
        register_enum(mood, connection)
        happy = connection.execute("select 'happy'::mood").fetchone()
        return mood.labels, row.field_names, TypeInfo.fetch(connection, "hstore"), str(happy)


@tried("cancel a statement under way")
def cancels() -> object:
    import threading

    with psycopg.connect(autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        try:
            connection.execute("select pg_sleep(30)")
        except psycopg.Error as error:
            timer.join()
            return error.sqlstate, connection.execute("select 1").fetchone()


@tried("SQL composition, dictionary rows, raw cursor with $1")
def composed() -> object:
    with psycopg.connect(row_factory=dict_row) as connection:
        text = sql.SQL("select {} from {} where id = %s").format(sql.Identifier("city"), sql.Identifier("customers"))
        raw = psycopg.RawCursor(connection).execute("select $1::int + $2::int as n", [1, 2]).fetchone()
        return connection.execute(text, [1]).fetchall(), raw


@tried("gigantic parameter and result (8 MiB)")
def large() -> object:
    with psycopg.connect() as connection:
        found = connection.execute("select %b::bytea", [b"x" * 2**23]).fetchone()
        return found is not None and len(found[0])


@tried("two-phase commit", refused=True)
def two_phase() -> object:
    with psycopg.connect() as connection:
        connection.tpc_begin("one")
        connection.execute("insert into notes (body) values ('2pc')")
        connection.tpc_prepare()
        connection.tpc_rollback()


if __name__ == "__main__":
    tried.run(f"psycopg {psycopg.__version__} (libpq {psycopg.pq.version()})")
