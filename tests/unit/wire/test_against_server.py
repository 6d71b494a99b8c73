"""The same bytes said to a real server directly and through the wire get the same answers.

Conversations are random and mostly nonsense on purpose: failing batches, names that do not exist, pipelines without
Sync, COPY in the middle. Whatever the server makes of them, the wire must stay in step and change nothing.
"""

from __future__ import annotations

import asyncio
import random
import re

import pytest

from servers import Postgres
from tidegate.enforcement.stream import Stream
from tidegate.model.resource import Address, Resource
from tidegate.protocols.postgres_login import login, reach
from unit.wire.messages import (
    FLUSH,
    SYNC,
    bind,
    close,
    describe,
    execute,
    frame,
    parse,
    play,
    query,
    ready,
    replies,
)

TEXTS = (
    "select 1",
    "select 1/0",
    "begin",
    "commit",
    "rollback",
    "insert into pg_temp.t values (1)",
    "selec",
    "select generate_series(1,3)",
    "select x + 0 from pg_temp.t",
    "copy pg_temp.t to stdout",
    "select 1; select 2",
    "select 1; select 1/0; select 3",
    "insert into pg_temp.u values (1)",
    "prepare a as select 7",
    "deallocate a",
    "declare a cursor for select 9",
)
TABLES = "create temp table t (x int); create temp table u (x int unique deferrable initially deferred)"
COPY = SYNC + query("copy pg_temp.t from stdin") + frame("d", b"5\n") + frame("c")
END = SYNC + SYNC + query("select 'the end'")
PLACE = re.compile(r"F\w+\.c\\x00L\d+\\x00R\w+\\x00")
"""Where in its source the server noticed an error: the gateway's own Describe may be the first to meet it."""


def conversation(seed: int) -> bytes:
    """Random messages, then an end that is always answered."""
    dice = random.Random(seed)

    def name() -> str:
        return dice.choice(["", "a", "b"])

    def said() -> bytes:
        kinds = [
            lambda: query(dice.choice(TEXTS)),
            lambda: parse(name(), dice.choice(TEXTS)),
            lambda: bind(name(), name()),
            lambda: execute(name()),
            lambda: describe(dice.choice("SP"), name()),
            lambda: close(dice.choice("SP"), name()),
            lambda: parse("", "select 1") + bind() + execute(),
            lambda: dice.choice([SYNC, SYNC, SYNC, FLUSH, COPY]),
        ]
        return dice.choice(kinds)()

    return b"".join(said() for _ in range(dice.randint(1, 25))) + END


async def connected(server: Postgres) -> Stream:
    """A session with two temporary tables."""
    shop = Resource("shop", "postgres", Address("127.0.0.1", server.port), "postgres", server.user)
    stream = await reach(shop, 5)
    await login(stream, shop, server.password, {"database": "postgres"})
    stream.write(query(TABLES))
    answered = b""
    while not answered.endswith(ready()):
        answered += await stream.exactly(1)
    return stream


def over(answers: bytes) -> bool:
    """Whether the end was answered."""
    return answers.find(b"Z\0\0\0\5", answers.find(b"the end") % (len(answers) + 1)) > 0


async def directly(server: Postgres, data: bytes) -> bytes:
    """What the server answers."""
    stream = await connected(server)
    stream.write(data)
    answers = b""
    while not over(answers):
        answers += await stream.exactly(1) + stream.unread()
    await stream.close()
    return answers


async def through_the_wire(server: Postgres, data: bytes) -> bytes:
    """What the agent sees; every operation must have ended and no reply be due."""
    stream, book, answers = await connected(server), play(), b""
    book.agent(data).passes()
    while not over(answers):
        stream.write(book.take_resource())
        book.resource(await stream.exactly(1) + stream.unread())
        answers += book.take_agent()
        book.agent(b"").passes()
    await stream.close()
    assert not book.results.open and book.wire.pending == 0
    return answers


@pytest.mark.parametrize("seed", range(24))
def test_same_answers(postgres: Postgres, seed: int) -> None:
    """The agent sees what it would see without a gateway."""

    async def both() -> tuple[bytes, bytes]:
        async with asyncio.timeout(20):
            data = conversation(seed)
            return await directly(postgres, data), await through_the_wire(postgres, data)

    expected, found = ([PLACE.sub("", line) for line in replies(answers)] for answers in asyncio.run(both()))
    assert found == expected
