"""Large values and results pass as they come: the gateway's memory does not grow with them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from e2e.conftest import TAGS, shop
from gateway import Gateway
from servers import Postgres

MIB = 1024 * 1024
READY = b"Z\0\0\0\5I"
BOUND = 64 * MIB
"""Bytes that the gateway's memory may grow by, whatever passes."""


@pytest.fixture
def bulk(postgres: Postgres, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of its own, so that its memory is its own too; the peak is counted from here."""
    postgres.psql("drop database if exists shop_bulk")
    gateway = Gateway(tmp_path / "gw", shop(postgres, "shop_bulk"), tags=TAGS, segment="64MiB").start().people()
    with connect(gateway) as agent:
        agent.execute("select 1")
    assert gateway.process is not None
    Path(f"/proc/{gateway.process.pid}/clear_refs").write_text("5")
    before = peak(gateway)
    yield gateway
    assert peak(gateway) - before < BOUND
    assert gateway.stop() == 0
    assert gateway.verify() == 0


def connect(gateway: Gateway) -> psycopg.Connection[Any]:
    """A connection whose statements commit by themselves."""
    return psycopg.connect(gateway.dsn(gateway.token()), autocommit=True)


def peak(gateway: Gateway) -> int:
    """The most memory the process has had, in bytes, since that was last cleared."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_large_parameter(bulk: Gateway) -> None:
    """A parameter of 300 MiB is forwarded as it comes."""
    with connect(bulk) as agent:
        size = 300 * MIB
        found = agent.execute("select length(%s::bytea) as n", [bytes(size)]).fetchone()
        assert found == (size,)


def test_large_copy_in(bulk: Gateway, postgres: Postgres) -> None:
    """COPY of 500 MiB in messages of many sizes."""
    line = b"x" * 1023 + b"\n"
    with connect(bulk) as agent, agent.cursor().copy("copy log from stdin") as copy:
        for size in (1, 64, 1024, 4096) * 98:
            copy.write(line * size)
    assert postgres.psql("select count(*) from log", "shop_bulk") == str(5185 * 98)


def test_ten_million_rows(bulk: Gateway) -> None:
    """A result of ten million rows is delivered whole."""
    agent = connect(bulk)
    agent.pgconn.send_query(b"select n from generate_series(1, 10000000) n")
    assert b"SELECT 10000000\0" in end(agent.pgconn.socket)
    agent.close()


def end(number: int) -> bytes:
    """Read a result off a socket without keeping it; gives its last bytes."""
    last = b""
    with socket.socket(fileno=number) as connection:
        connection.setblocking(True)
        while not last.endswith(READY):
            last = (last + connection.recv(MIB))[-64:]
        connection.detach()
    return last
