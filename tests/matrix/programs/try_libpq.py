"""libpq 18 by itself, through psycopg: protocol versions, TLS in both ways of asking, how connections are described."""

import os

import psycopg
from trials import Trials, Unsupported

tried = Trials()


def story(**more: str) -> object:
    """A short session; what is returned must not depend on who stands between."""
    with psycopg.connect(autocommit=True, **more) as connection:
        rows = connection.execute("select id, email from customers where id <= %s order by id", [2]).fetchall()
        return rows, connection.pgconn.full_protocol_version, bool(connection.pgconn.ssl_in_use)


@tried("`max_protocol_version=3.0`")
def oldest() -> object:
    return story(max_protocol_version="3.0")


@tried("`max_protocol_version=latest` (3.2 where the server speaks it)")
def latest() -> object:
    rows, _, tls = story(max_protocol_version="latest")  # type: ignore[misc]
    return rows, tls


@tried("several hosts, `target_session_attrs=read-write`, `load_balance_hosts`")
def hosts() -> object:
    here = os.environ["PGHOST"]
    return story(host=f"{here},{here}", port=f"1,{os.environ['PGPORT']}", target_session_attrs="read-write")


@tried("`connect_timeout`, keepalives, `application_name`, `options=-c`")
def options() -> object:
    return story(connect_timeout="20", keepalives="1", application_name="matrix", options="-c TimeZone=UTC")


def encrypted(since: int = 0) -> None:
    """Whether the server speaks TLS at all, and is of that version at least."""
    version = os.environ.get("PGTLS")
    if not version:
        raise Unsupported("the package of this server is built without TLS")
    if int(version) < since:
        raise Unsupported(f"servers before {since} do not know it")


@tried("`sslmode=require`")
def tls() -> object:
    encrypted()
    return story(sslmode="require")


@tried("`sslmode=require`, protocol 3.2, and a cancel")
def tls_cancel() -> object:
    encrypted()
    with psycopg.connect(autocommit=True, sslmode="require", max_protocol_version="latest") as connection:
        try:
            connection.execute("set statement_timeout = '300ms'; select pg_sleep(30)")
        except psycopg.Error as error:
            return error.sqlstate, connection.execute("select 1").fetchone()


@tried("`sslnegotiation=direct`")
def direct() -> object:
    encrypted(since=17)
    return story(sslmode="require", sslnegotiation="direct")


if __name__ == "__main__":
    tried.run(f"libpq {psycopg.pq.version()} (in psycopg-binary {psycopg.__version__})")
