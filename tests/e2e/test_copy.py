"""COPY in every form, with failures half-way: the agent gives up, the server refuses, either side is in the middle."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import pq

from e2e.conftest import TAGS, shop
from gateway import Gateway
from servers import Postgres

FORMATS = ["text", "csv", "binary"]


@pytest.fixture(scope="module", params=["18", "debian"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before the newest server, and one before Debian's."""
    fixture = "postgres" if request.param == "18" else "postgres_debian"
    server: Postgres = request.getfixturevalue(fixture)
    found = Gateway(tmp_path_factory.mktemp("copy") / "gw", shop(server, "shop_copy"), tags=TAGS)
    found.start().people()
    yield found
    assert found.stop() == 0
    assert found.verify() == 0


def connect(gateway: Gateway) -> psycopg.Connection[Any]:
    """A connection whose statements commit by themselves."""
    return psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)


def alive(agent: psycopg.Connection[Any]) -> bool:
    """Whether the stream is in step."""
    return agent.execute("select 41 + 1").fetchone() == (42,)


def count(agent: psycopg.Connection[Any], mark: str) -> int:
    """Lines of the log with this mark."""
    found = agent.execute("select count(*) from log where line = %s", [mark]).fetchone()
    return int(found[0]) if found else -1


@pytest.mark.parametrize("form", FORMATS)
def test_there_and_back(both: Gateway, form: str) -> None:
    """What COPY gives in a format, COPY takes in it."""
    with connect(both) as agent:
        copied = f"copy (select 'back {form}' from orders where id <= 500) to stdout (format {form})"
        with agent.cursor().copy(copied) as out:
            data = b"".join(bytes(chunk) for chunk in out)
        with agent.cursor().copy(f"copy log from stdin (format {form})") as into:
            into.write(data)
        assert count(agent, f"back {form}") == 500


def test_agent_gives_up(both: Gateway) -> None:
    """CopyFail ends a COPY with the server's own error, and nothing stays."""
    with connect(both) as agent:
        with pytest.raises(ZeroDivisionError), agent.cursor().copy("copy log from stdin") as into:
            into.write(b"given up\n" * 5000)
            raise ZeroDivisionError
        assert alive(agent) and count(agent, "given up") == 0


@pytest.mark.parametrize("extended", [False, True])
def test_server_refuses_half_way(both: Gateway, extended: bool) -> None:
    """The agent goes on sending while the server has refused a line: that is ignored, and the next statement works."""
    with connect(both) as agent:
        text = b"copy orders from stdin"
        if extended:
            agent.pgconn.send_query_params(text, None)
        else:
            agent.pgconn.send_query(text)
        result = agent.pgconn.get_result()
        assert result is not None and result.status == pq.ExecStatus.COPY_IN
        agent.pgconn.put_copy_data(b"not a number\t1\t1\t2026-01-01\n")
        for _ in range(2000):
            agent.pgconn.put_copy_data(b"9000\t1\t1\t2026-01-01\n" * 50)
        agent.pgconn.put_copy_end()
        result = agent.pgconn.get_result()
        assert result is not None and result.status == pq.ExecStatus.FATAL_ERROR
        assert result.error_field(pq.DiagnosticField.SQLSTATE) == b"22P02"
        assert agent.pgconn.get_result() is None
        assert alive(agent)


def test_server_fails_half_way_out(both: Gateway) -> None:
    """An error in the middle of COPY data comes through, and the stream is in step."""
    with connect(both) as agent:
        with (
            pytest.raises(psycopg.errors.DivisionByZero),
            agent.cursor().copy("copy (select 1 / (n - 90000) from generate_series(1, 100000) n) to stdout") as out,
        ):
            assert sum(1 for _ in out) > 0
        assert alive(agent)


def test_in_a_string_of_statements(both: Gateway) -> None:
    """COPY between other statements of one text takes its data and goes on."""
    with connect(both) as agent:
        agent.pgconn.send_query(b"select 1; copy log from stdin; select 2")
        states = [agent.pgconn.get_result() for _ in range(2)]
        agent.pgconn.put_copy_data(b"between\n")
        agent.pgconn.put_copy_end()
        states += [agent.pgconn.get_result() for _ in range(3)]
        found = [pq.ExecStatus(result.status).name for result in states if result is not None]
        assert found == ["TUPLES_OK", "COPY_IN", "COMMAND_OK", "TUPLES_OK"]
        assert alive(agent) and count(agent, "between") == 1


def test_masked_fields_do_not_leave_by_copy(both: Gateway) -> None:
    """COPY cannot be masked, so that it is refused where it would show masked fields, in any form of it."""
    with connect(both) as agent:
        for text in ("copy customers to stdout", "copy (select email from customers) to stdout (format binary)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                list(agent.cursor().copy(text).__enter__())
            assert alive(agent)


def test_many_small_messages(both: Gateway) -> None:
    """A message a row, as many tools send it."""
    with connect(both) as agent:
        agent.pgconn.exec_(b"copy log from stdin")
        for _ in range(20_000):
            agent.pgconn.put_copy_data(b"small\n")
        agent.pgconn.put_copy_end()
        while agent.pgconn.get_result() is not None:
            pass
        assert count(agent, "small") == 20_000


def pieces_of(mask: str) -> list[list[bytes]]:
    """COPY data with a mask cut by messages, and cut by writes within one message."""
    large = b"d" + struct.pack(">I", 100_004) + mask.encode().ljust(100_000)
    return [
        [b"".join(b"d" + struct.pack(">I", 5) + mask[at : at + 1].encode() for at in range(len(mask)))],
        [large[:6], large[6:7], large[7:9], large[9:10], large[10:11], large[11:]],
    ]


def test_a_mask_does_not_come_back(both: Gateway) -> None:
    """A masked value in COPY data, or in a parameter too large to be held, ends the session before it is written."""
    agent = connect(both)
    (mask,) = agent.execute("select email from customers limit 1").fetchone() or ("",)
    assert mask.startswith("[masked")
    refused = pytest.raises(psycopg.OperationalError, match="a mask is not a value")
    with refused, agent.cursor() as cursor, cursor.copy("copy log from stdin") as into:
        into.write(b"mask came back\n" * 10_000)
        into.write(mask.encode() + b"\n")
        into.write(b"mask came back\n" * 10_000)
    agent = connect(both)
    with pytest.raises(psycopg.OperationalError, match="a mask is not a value"):
        agent.execute("insert into log values (%s)", ["x" * 200_000 + mask])
    for pieces in pieces_of(mask):
        agent = connect(both)
        agent.pgconn.exec_(b"copy log from stdin")
        for piece in pieces:
            os.write(agent.pgconn.socket, piece)
            time.sleep(0.05)
        agent.pgconn.put_copy_end()
        agent.pgconn.get_result()
        assert b"a mask is not a value" in agent.pgconn.error_message, (len(pieces), agent.pgconn.error_message)
    agent = connect(both)
    with pytest.raises(psycopg.OperationalError, match="a mask is not a value"):
        agent.execute("insert into log values (%s)", [mask + "x" * 200_000])
    with connect(both) as agent:
        assert count(agent, "mask came back") == 0
        assert agent.execute("select count(*) from log where length(line) > 100000").fetchone() == (0,)
