"""Native clients through a real gateway to a real server: nothing changes for them."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time

import asyncpg
import psycopg
import pytest

from gateway import Gateway
from servers import Postgres


def psql(
    gateway: Gateway, server: Postgres, *statements: str, database: str = "shop"
) -> subprocess.CompletedProcess[str]:
    """Run the server's own psql with a fresh token."""
    commands = [part for text in statements for part in ("-c", text)]
    return subprocess.run(
        [
            server.tools / "psql",
            "-X",
            "-At",
            *commands,
            "-h",
            "127.0.0.1",
            "-p",
            str(gateway.port),
            "-U",
            "agent",
            database,
        ],
        env={"PGPASSWORD": gateway.token(), "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_psql_selects(gateway: Gateway, postgres: Postgres) -> None:
    """psql logs in with the token as its password and sees rows."""
    done = psql(gateway, postgres, "select id, city from customers where id <= 2 order by id")
    assert done.stdout == "1|Lima\n2|Pune\n", done.stderr


@pytest.mark.parametrize("command", ["\\d", "\\dt", "\\d customers", "\\l", "\\du", "\\df", "\\dv", "\\dn", "\\x"])
def test_psql_describes(gateway: Gateway, postgres: Postgres, command: str) -> None:
    """psql's meta-commands work: their catalog queries are proven reads."""
    done = psql(gateway, postgres, command)
    assert done.returncode == 0 and "refused" not in done.stderr, done.stderr


def test_psql_over_tls(gateway: Gateway, postgres_debian: Postgres) -> None:
    """A client that demands TLS gets it, and verify-full holds with the gateway's certificate."""
    done = subprocess.run(
        [
            postgres_debian.tools / "psql",
            "-X",
            "-At",
            "-c",
            "select 1",
            f"host=localhost hostaddr=127.0.0.1 port={gateway.port} user=agent dbname=shop sslmode=verify-full",
        ],
        env={
            "PGPASSWORD": gateway.token(),
            "PATH": "/usr/bin:/bin",
            "PGSSLROOTCERT": str(gateway.data / "tls" / "server.crt"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1\n", done.stderr


def test_psycopg_modes(gateway: Gateway) -> None:
    """psycopg works with parameters, text and binary results, server-side statements and transactions."""
    with psycopg.connect(gateway.dsn(gateway.token())) as agent:
        for binary in (False, True):
            for prepare in (False, True):
                row = agent.execute(
                    "select id, city, 2.5::float8, now() from customers where id = %s",
                    [7],
                    prepare=prepare,
                    binary=binary,
                ).fetchone()
                assert row is not None and row[:3] == (7, "Lima", 2.5)
        agent.execute("insert into log values (%s)", ["in a transaction"])
        agent.rollback()
        found = agent.execute("select count(*) from log where line = 'in a transaction'").fetchone()
        assert found == (0,)


def test_psycopg_pipeline(gateway: Gateway) -> None:
    """Pipelined statements come back in order."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent, agent.pipeline():
        cursors = [agent.execute("select %s::int", [number]) for number in range(50)]
        assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(50)]


def test_asyncpg(gateway: Gateway) -> None:
    """asyncpg works: prepared statements, introspection, transactions, cursors, executemany."""

    async def story() -> None:
        agent = await asyncpg.connect(
            host="127.0.0.1", port=gateway.port, user="agent", password=gateway.token(), database="shop", ssl=False
        )
        assert await agent.fetchval("select sum(id) from customers where id < $1", 4) == 6
        await agent.executemany("insert into log values ($1)", [("a",), ("b",)])
        async with agent.transaction():
            rows = [row["id"] async for row in agent.cursor("select id from orders order by id limit 120")]
        assert rows == list(range(1, 121))
        assert await agent.fetchval("select array_agg(id) from customers where id < 3") == [1, 2]
        await agent.close()

    asyncio.run(story())


def test_asyncpg_pool(gateway: Gateway) -> None:
    """A pool resets its connections between uses, which the gateway understands as harmless."""

    async def story() -> None:
        where = {"host": "127.0.0.1", "port": gateway.port, "user": "agent", "database": "shop", "ssl": False}
        async with asyncpg.create_pool(password=gateway.token(), min_size=1, max_size=2, **where) as pool:
            for number in range(5):
                assert await pool.fetchval("select $1::int", number) == number

    asyncio.run(story())


def test_copy_in_and_out(gateway: Gateway) -> None:
    """COPY FROM STDIN and COPY TO STDOUT of untagged data pass, also when a COPY fails half-way."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        with agent.cursor().copy("copy log from stdin") as copy:
            for number in range(2000):
                copy.write_row([f"copied {number}"])
        with agent.cursor().copy("copy (select line from log) to stdout") as copy:
            assert sum(row[0].startswith("copied") for row in copy.rows()) == 2000
        with pytest.raises(psycopg.Error), agent.cursor().copy("copy orders from stdin") as copy:
            copy.write("not a number\n")
        assert agent.execute("select 1").fetchone() == (1,)


def test_large_parameter_is_streamed(gateway: Gateway) -> None:
    """A parameter larger than every buffer passes and arrives whole."""
    text = "x" * (24 * 2**20)
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        assert agent.execute("select length(%b::bytea)", [text.encode()]).fetchone() == (len(text),)


def test_many_rows(gateway: Gateway) -> None:
    """A large result arrives whole."""
    with psycopg.connect(gateway.dsn(gateway.token())) as agent:
        total = agent.execute("select g, repeat('y', 100) from generate_series(1, 100000) g").fetchall()
    assert len(total) == 100000 and total[-1][0] == 100000


def test_errors_and_notices(gateway: Gateway) -> None:
    """The server's own errors and notices arrive, and the session goes on."""
    heard: list[str] = []
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        agent.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        with pytest.raises(psycopg.errors.DivisionByZero):
            agent.execute("select 1/0")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            agent.execute("select nothing from orders")
        agent.execute("create table if not exists log (line text)")
        assert agent.execute("select 1").fetchone() == (1,)
    assert any("already exists" in text for text in heard)


def test_cancel_reaches_the_statement(gateway: Gateway) -> None:
    """A cancel request ends the statement under way, and the session goes on."""
    with psycopg.connect(gateway.dsn(gateway.token()), autocommit=True) as agent:
        threading.Timer(0.5, agent.cancel).start()
        began = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            agent.execute("select pg_sleep(30)")
        assert time.monotonic() - began < 20
        assert agent.execute("select 1").fetchone() == (1,)


def test_only_the_configured_database(gateway: Gateway) -> None:
    """`resource/database` may name the resource's own database; another one would escape the tags."""
    with psycopg.connect(gateway.dsn(gateway.token(), database="shop/shop_e2e")) as agent:
        assert agent.execute("select current_database()").fetchone() == ("shop_e2e",)
    with pytest.raises(psycopg.OperationalError, match="own database"):
        psycopg.connect(gateway.dsn(gateway.token(), database="shop/postgres"))
