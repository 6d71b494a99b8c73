"""psqlODBC through unixODBC: what spreadsheets and BI tools use; catalog functions, cursors, parameters."""

import os

import pyodbc
from trials import Trials

tried = Trials()
DRIVER = "PostgreSQL Unicode"


def connect(**more: str) -> pyodbc.Connection:
    place = {"Server": os.environ["PGHOST"], "Port": os.environ["PGPORT"], "Database": os.environ["PGDATABASE"]}
    login = {"Uid": os.environ["PGUSER"], "Pwd": os.environ["PGPASSWORD"], "SSLmode": "disable"}
    return pyodbc.connect(
        ";".join(f"{key}={value}" for key, value in ({"Driver": DRIVER} | place | login | more).items())
    )


def rows(cursor: pyodbc.Cursor) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in cursor.fetchall()]


@tried("parameters, every common type")
def parameters() -> object:
    return rows(connect().execute("select id, name, email, born, score, active from customers where id < ?", 4))


@tried("catalog functions: tables, columns, keys, statistics, procedures, types")
def catalog() -> object:
    cursor = connect().cursor()
    return [
        rows(cursor.tables(schema="public")),
        rows(cursor.columns(schema="public", table="orders")),
        rows(cursor.primaryKeys(schema="public", table="orders")),
        rows(cursor.foreignKeys(foreignSchema="public", foreignTable="orders")),
        rows(cursor.statistics(schema="public", table="orders")),
        rows(cursor.procedures(schema="public")),
        len(rows(cursor.getTypeInfo())),
    ]


@tried("UseDeclareFetch: a cursor behind the scenes")
def declares() -> object:
    return len(rows(connect(UseDeclareFetch="1", Fetch="50").execute("select id, total from orders order by id")))


@tried("executemany, commit, rollback")
def writes() -> object:
    connection = connect()
    connection.cursor().executemany("insert into notes (id, body) values (?, ?)", [(60000 + n, "o") for n in range(20)])
    connection.commit()
    connection.execute("insert into notes (body) values ('lost')")
    connection.rollback()
    return rows(connection.execute("select count(*) from notes where body in ('o', 'lost')"))


@tried("an error in a transaction, with the driver's own savepoints (Protocol=7.4-2)")
def savepoints() -> object:
    connection = connect(Protocol="7.4-2")
    try:
        connection.execute("select 1/0")
    except pyodbc.Error as error:
        return error.args[0], rows(connection.execute("select 1"))


if __name__ == "__main__":
    with connect() as first:
        tried.run(f"psqlODBC {first.getinfo(pyodbc.SQL_DRIVER_VER)} (pyodbc {pyodbc.version})")
