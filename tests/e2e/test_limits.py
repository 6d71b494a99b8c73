"""Limits: rows, time of one operation, idleness. Each ends what it must, in the protocol's own form."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from gateway import POLICY, Gateway
from servers import Postgres

from .conftest import TAGS, shop

LIMITED = POLICY.replace(
    "  - id: reads\n    may: [read]\n    then: allow\n",
    "  - id: reads\n    may: [read]\n    then: allow\n    limit: {rows: 100, per: operation}\n",
)


@pytest.fixture(scope="module")
def limited(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that gives 100 rows, 2 seconds for an operation and 3 seconds of rest."""
    directory = tmp_path_factory.mktemp("limits")
    gateway = Gateway(directory / "gw", shop(postgres, "shop_limits"), policy=LIMITED, tags=TAGS)
    gateway.limits = {"operation": "2s", "idle": "3s"}
    gateway.start().people()
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("binary", [False, True])
def test_rows(limited: Gateway, binary: bool) -> None:
    """A result over the limit ends with an error that says so; the session goes on, and a smaller one passes."""
    with psycopg.connect(limited.dsn(limited.token()), autocommit=True) as agent:
        with pytest.raises(psycopg.Error, match=r"(?i)rows") as caught:
            agent.execute("select id from orders", binary=binary)
        assert caught.value.sqlstate == "54000"
        assert len(agent.execute("select id from orders limit 100", binary=binary).fetchall()) == 100


def test_time_of_an_operation(limited: Gateway) -> None:
    """A statement that runs too long is cancelled by the server; the session goes on."""
    with psycopg.connect(limited.dsn(limited.token()), autocommit=True) as agent:
        with pytest.raises(psycopg.errors.QueryCanceled):
            agent.execute("select pg_sleep(30)")
        assert agent.execute("select 1").fetchone() == (1,)


def test_idleness(limited: Gateway) -> None:
    """A session that rests too long is ended with a word."""
    with psycopg.connect(limited.dsn(limited.token()), autocommit=True) as agent:
        agent.execute("select 1")
        time.sleep(5)
        with pytest.raises(psycopg.OperationalError, match="idle"):
            agent.execute("select 1")
