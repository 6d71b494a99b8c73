"""psycopg2: client-side binding, named cursors, batches, COPY, asynchronous use, notifications."""

import io
import select

import psycopg2
import psycopg2.extensions
import psycopg2.extras
from trials import Trials

tried = Trials()


def rows(text: str, values: object = None) -> list[object]:
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.fetchall()


@tried("values bound on the client's side")
def binds() -> object:
    return rows(
        "select id, city, email from customers where id = any(%s) and city <> %s order by 1", ([1, 2, 3], "x'y")
    )


@tried("every common type, both ways")
def types() -> object:
    return rows("select id, born, score, active, tags, extra, avatar, email from customers where id < 4 order by id")


@tried("a named (server-side) cursor")
def named() -> object:
    with psycopg2.connect("") as connection, connection.cursor("named") as cursor:
        cursor.itersize = 50
        cursor.execute("select id, total from orders order by id")
        return [row[0] for row in cursor][-3:]


@tried("a scrollable named cursor WITH HOLD")
def holds() -> object:
    connection = psycopg2.connect("")
    with connection.cursor("kept", withhold=True, scrollable=True) as cursor:
        cursor.execute("select id, email from customers order by id")
        connection.commit()
        cursor.scroll(10)
        return cursor.fetchmany(2)


@tried("executemany, execute_batch, execute_values")
def batches() -> object:
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.executemany("insert into notes (body) values (%s)", [("a",), ("b",)])
        psycopg2.extras.execute_batch(cursor, "insert into notes (body) values (%s)", [(str(i),) for i in range(250)])
        found = psycopg2.extras.execute_values(
            cursor, "insert into notes (body, feeling) values %s returning id", [("c", "sad"), ("d", "ok")], fetch=True
        )
    return found, rows("select count(*) from notes")


@tried("copy_expert, copy_from, copy_to")
def copies() -> object:
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.copy_expert("copy notes (body) from stdin csv", io.StringIO("one\ntwo\n"))
        cursor.copy_from(io.StringIO("three\thappy\n"), "notes", columns=("body", "feeling"))
        out = io.StringIO()
        cursor.copy_to(out, "notes", columns=("body", "feeling"))
        return out.getvalue()[-60:]


@tried("COPY fails half-way, the session goes on")
def copy_fails() -> object:
    connection = psycopg2.connect("")
    with connection.cursor() as cursor:
        try:
            cursor.copy_expert("copy orders (id) from stdin", io.StringIO("1\nx\n"))
        except psycopg2.Error as error:
            connection.rollback()
            cursor.execute("select 1")
            return error.pgcode, cursor.fetchall()


@tried("an asynchronous connection")
def asynchronous() -> object:
    connection = psycopg2.connect("", async_=1)
    psycopg2.extras.wait_select(connection)
    cursor = connection.cursor()
    cursor.execute("select id, email from customers where id = 9")
    psycopg2.extras.wait_select(connection)
    return cursor.fetchall()


@tried("LISTEN and NOTIFY between two connections", withheld="hello")
def notifies() -> object:
    listener, speaker = psycopg2.connect(""), psycopg2.connect("")
    listener.autocommit = speaker.autocommit = True
    listener.cursor().execute("listen news")
    speaker.cursor().execute("notify news, 'hello'")
    select.select([listener], [], [], 20)
    listener.poll()
    return [(heard.channel, heard.payload) for heard in listener.notifies]


@tried("errors: code, constraint, and the transaction they fail")
def errors() -> object:
    connection = psycopg2.connect("")
    with connection.cursor() as cursor:
        try:
            cursor.execute("insert into notes (id, body) values (1, 'a'), (1, 'b')")
        except psycopg2.Error as error:
            status = connection.get_transaction_status()
            connection.rollback()
            return error.pgcode, status


@tried("isolation levels, read-only and deferrable sessions")
def isolation() -> object:
    connection = psycopg2.connect("")
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    with connection.cursor() as cursor:
        cursor.execute("show transaction_isolation")
        return cursor.fetchall()


@tried("dictionary and named-tuple cursors, composite values, mogrify")
def extras() -> object:
    with psycopg2.connect("", cursor_factory=psycopg2.extras.RealDictCursor) as connection:
        cursor = connection.cursor()
        cursor.execute("select id, name, email from customers where id = 2")
        return cursor.fetchall(), cursor.mogrify("select %s", ("é",))


@tried("two-phase commit", refused=True)
def two_phase() -> object:
    connection = psycopg2.connect("")
    connection.tpc_begin(connection.xid(1, "gtrid", "bqual"))
    connection.cursor().execute("insert into notes (body) values ('2pc')")
    connection.tpc_prepare()
    connection.tpc_rollback()


@tried("register_hstore looks for a type that is not there")
def looks_up() -> object:
    with psycopg2.connect("") as connection:
        return psycopg2.extras.HstoreAdapter.get_oids(connection)


if __name__ == "__main__":
    tried.run(f"psycopg2 {psycopg2.__version__.split()[0]} (libpq {psycopg2.extensions.libpq_version()})")
