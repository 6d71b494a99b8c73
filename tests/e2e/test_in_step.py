"""A random agent, step by step through a real gateway and directly: the same answers, the same state, the same data.

Where the gateway refuses a statement, the direct side is given one that the server cannot parse: a refusal must be an
error like any other. Each side has a database of its own with the same tables.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from e2e.conftest import SHOP
from fuzz.server import messages
from gateway import Gateway
from servers import Postgres
from tidegate.wire.postgres_messages import row_description
from unit.wire.messages import FLUSH, SYNC, bind, close, describe, execute, frame, parse, query

REFUSED, BROKEN = "delete from log", "delete log"
"""What policy refuses, and what stands in its place on the direct side."""

LIKE_REFUSALS = (b"42501", b"42601", b"26000", b"34000")
"""A refusal, a text that cannot be parsed, and names that nobody knows, which policy refuses before the server does."""

STEP = "insert into log values ('in step')"
TEXTS = (
    "select 1",
    "select 1/0",
    "select generate_series(1, 3)",
    "select count(*) from log where line = 'in step'",
    "begin",
    "commit",
    "rollback",
    STEP,
    "copy log to stdout",
    "",
    BROKEN,
    REFUSED,
)
SEVERAL = (f"{STEP}; select 1/0", "select 1; select 2", f"begin; {STEP}", f"select 1; {STEP}; commit")
NAMES = st.sampled_from(["", "a", "b"])
COPY = query("copy log from stdin") + frame("d", b"in step\n")
LIMITED = frame("E", b"\0\0\0\0\2")


class Side:
    """One connection, spoken to in raw messages."""

    def __init__(self, dsn: str) -> None:
        self._agent: psycopg.Connection[Any] = psycopg.connect(dsn, autocommit=True)
        self._peer = socket.socket(fileno=os.dup(self._agent.fileno()))
        self._peer.settimeout(10)
        self._unread = b""

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self._peer.sendall(data)

    def answers(self, end: str) -> list[tuple[bytes, object]]:
        """Everything up to the end of a last query, which gives ``end``."""
        self.say(SYNC + query(f"select '{end}'"))
        found: list[tuple[bytes, object]] = []
        while not (found and found[-1][0] == b"Z" and any(end in str(body) for _, body in found)):
            data = self._peer.recv(65536)
            assert data, f"the connection was closed after {found}"
            whole = messages(self._unread + data)
            self._unread = whole.pop()[1] if not whole[-1][0] else b""
            found += [(tag, plain(tag, body)) for tag, body in whole if tag not in (b"N", b"S")]
        return found

    def close(self) -> None:
        """Leave."""
        self._peer.close()
        self._agent.close()


def plain(tag: bytes, body: bytes) -> object:
    """A message without what differs between two databases, and a refusal as the error it stands for."""
    if tag == b"T":
        return [(column.name, column.kind) for column in row_description(body)]
    if tag == b"E":
        code = next(part[1:] for part in body.split(b"\0") if part[:1] == b"C")
        return b"refused" if code in LIKE_REFUSALS else code
    return body


class InStep(RuleBasedStateMachine):
    """Says everything to both sides."""

    gateway: Gateway
    server: Postgres
    token: str

    @initialize()
    def connect(self) -> None:
        """Two connections, two equal databases."""
        for database in ("shop_e2e", "in_step"):
            self.server.psql("delete from log", database)
        self.through = Side(self.gateway.dsn(self.token))
        self.direct = Side(self.server.dsn("in_step") + " sslmode=disable")
        self.number = 0

    def say(self, data: bytes) -> None:
        self.through.say(data)
        self.direct.say(data)

    def said(self, made: Any, text: str) -> None:
        """A message with a text in it."""
        self.through.say(made(text))
        self.direct.say(made(BROKEN if text == REFUSED else text))

    @rule(text=st.sampled_from(TEXTS + SEVERAL))
    def simple(self, text: str) -> None:
        self.said(query, text)

    @rule(name=NAMES, text=st.sampled_from(TEXTS))
    def prepare(self, name: str, text: str) -> None:
        self.said(lambda asked: parse(name, asked), text)

    @rule(text=st.sampled_from(TEXTS), limited=st.booleans())
    def whole(self, text: str, limited: bool) -> None:
        self.said(lambda asked: parse("", asked) + bind() + (LIMITED if limited else execute()), text)

    @rule(portal=NAMES, name=NAMES, kind=st.sampled_from("SP"))
    def parts(self, portal: str, name: str, kind: str) -> None:
        self.say(bind(portal, name) + describe(kind, name) + execute(portal))

    @rule(said=st.sampled_from([SYNC, FLUSH, LIMITED, close("S", "a"), close("P", "b"), execute("b")]))
    def little(self, said: bytes) -> None:
        self.say(said)

    @rule(end=st.sampled_from([frame("c"), frame("f", b"enough\0")]))
    def copy(self, end: bytes) -> None:
        self.compare()
        self.say(COPY + end)

    @rule()
    def compare(self) -> None:
        """Both sides have said the same so far."""
        self.number += 1
        found, expected = (side.answers(f"end {self.number}") for side in (self.through, self.direct))
        assert found == expected

    def teardown(self) -> None:
        if not hasattr(self, "through"):
            return
        self.say(SYNC + query("rollback"))
        try:
            self.compare()
        finally:
            self.through.close()
            self.direct.close()
        count = "select count(*) from log"
        assert self.server.psql(count, "shop_e2e") == self.server.psql(count, "in_step")


@pytest.fixture
def twin(postgres: Postgres) -> None:
    """A database like the one behind the gateway."""
    postgres.psql("create database in_step")
    postgres.psql(SHOP, "in_step")


def test_in_step(gateway: Gateway, postgres: Postgres, twin: None) -> None:
    """Whatever an agent does, the gateway's answers are the server's own."""
    machine = type("Machine", (InStep,), {"gateway": gateway, "server": postgres, "token": gateway.token()})
    # Making a failure smaller takes minutes of waiting for answers that do not come; the steps are printed as they are.
    bounds = settings(
        max_examples=10,
        stateful_step_count=15,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=bounds)  # type: ignore[no-untyped-call]
