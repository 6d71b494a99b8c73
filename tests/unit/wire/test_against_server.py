"""The same bytes said to a real server directly and through the wire get the same answers.

Conversations are random and mostly nonsense on purpose: failing batches, names that do not exist, pipelines without
Sync, COPY in the middle. Whatever the server makes of them, the wire must stay in step and change nothing. And a
statement that the gateway refuses must leave the same answers behind as one that the server itself cannot parse: every
reply before it, one error in its place, and the server's own status.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence

import pytest

from playbook import Playbook, requests
from servers import Postgres
from tidegate.enforcement.stream import Stream
from tidegate.model.operation import Request
from tidegate.model.resource import Address, Resource
from tidegate.model.secret import Credential
from tidegate.protocols.postgres_login import login, reach
from unit.wire.messages import (
    FLUSH,
    NO,
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
REFUSED = "tidegate refuses this"
"""Refused on its way through the wire, and no SQL for the server."""

END = SYNC + SYNC + query("rollback") + query("select 'the end'")
PLACE = re.compile(r"F\w+\.c\\x00L\d+\\x00R\w+\\x00")
"""Where in its source the server noticed an error: the gateway's own Describe may be the first to meet it."""


def conversation(seed: int, texts: Sequence[str] = TEXTS) -> bytes:
    """Random messages, then an end that is always answered."""
    dice = random.Random(seed)

    def name() -> str:
        return dice.choice(["", "a", "b"])

    def said() -> bytes:
        kinds = [
            lambda: query(dice.choice(texts)),
            lambda: parse(name(), dice.choice(texts)),
            lambda: bind(name(), name()),
            lambda: execute(name()),
            lambda: describe(dice.choice("SP"), name()),
            lambda: close(dice.choice("SP"), name()),
            lambda: parse("", dice.choice(texts)) + bind() + execute(),
            lambda: dice.choice([SYNC, SYNC, SYNC, FLUSH, COPY]),
        ]
        return dice.choice(kinds)()

    return b"".join(said() for _ in range(dice.randint(1, 25))) + END


async def connected(server: Postgres) -> Stream:
    """A session with two temporary tables."""
    shop = Resource("shop", "postgres", Address("127.0.0.1", server.port), "postgres", server.user)
    stream = await reach(shop, 5)
    await login(stream, Credential(server.user, server.password), {"database": "postgres"})
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


def answered(book: Playbook, request: Request) -> bool:
    """Do with a request what a relay does; False while it must wait for earlier replies."""
    refused = next((op for op in request.operations if REFUSED in op.facts.text), None)
    if refused is None:
        book.results.open.update(request.operations)
        book.took(b"", book.wire.forward(request))
    elif request.divisible and (request.headed or refused is not request.operations[0]):
        book.wire.cut(request, refused)
    elif book.wire.pending and not (book.wire.open and request.divisible):
        return False
    else:
        reply = book.wire.refuse(request, NO)
        book.took(reply.to_agent, reply.to_resource)
    return True


async def through_the_wire(server: Postgres, data: bytes) -> bytes:
    """What the agent sees; every operation must have ended and no reply be due."""
    stream, book, answers, parked = await connected(server), play(), b"", None
    while not over(answers):
        while parked is None or answered(book, parked):
            parked = next(requests(book.wire, data), None)
            data = b""
            if parked is None:
                break
        answers += book.take_agent()
        stream.write(book.take_resource())
        if not over(answers):
            book.resource(await stream.exactly(1) + stream.unread())
            answers += book.take_agent()
    await stream.close()
    assert not book.results.open and book.wire.pending == 0
    return answers


def both(server: Postgres, data: bytes) -> tuple[list[str], list[str]]:
    """The answers without and with the wire, one line a message."""

    async def answers() -> tuple[bytes, bytes]:
        async with asyncio.timeout(20):
            return await directly(server, data), await through_the_wire(server, data)

    expected, found = ([PLACE.sub("", line) for line in replies(answer)] for answer in asyncio.run(answers()))
    return expected, found


@pytest.mark.parametrize("seed", range(24))
def test_same_answers(postgres: Postgres, seed: int) -> None:
    """The agent sees what it would see without a gateway."""
    expected, found = both(postgres, conversation(seed))
    assert found == expected


@pytest.mark.parametrize("seed", range(100, 130))
def test_a_refusal_is_an_error_like_any_other(postgres: Postgres, seed: int) -> None:
    """What is refused fails where and as a statement that the server cannot parse: nothing else is different."""
    expected, found = both(postgres, conversation(seed, (*TEXTS, *[REFUSED] * 6, f"select 4; {REFUSED}")))
    own = ["refused" if 'at or near "tidegate"' in line else line for line in expected]
    assert ["refused" if "no-deletes" in line else line for line in found] == own
