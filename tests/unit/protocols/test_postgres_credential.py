"""What agents present: passwords and OAUTHBEARER messages, well formed or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, Refused, TidegateError
from tidegate.protocols.postgres_credential import bearer, credential, decline, password
from tidegate.protocols.postgres_parameters import Startup
from tidegate.wire.postgres_messages import message
from unit.protocols.test_postgres_startup import Line

T = TypeVar("T")


def told(ask: Callable[[Stream], Awaitable[T]], *pieces: bytes) -> tuple[T, bytes]:
    """What ``ask`` makes of these pieces, after which the agent leaves, and what the agent was sent."""
    line = Line("127.0.0.1")

    async def conversation() -> T:
        stream = Stream()
        stream.connection_made(line)
        asking = asyncio.ensure_future(ask(stream))
        for data in pieces:
            stream.data_received(data)
            await asyncio.sleep(0)
        stream.eof_received()
        return await asking

    return asyncio.run(conversation()), line.written


def sasl(first: bytes, mechanism: bytes = b"OAUTHBEARER", length: int | None = None) -> bytes:
    """A SASLInitialResponse."""
    size = len(first) if length is None else length
    return message(b"p", mechanism + b"\0" + size.to_bytes(4, "big") + first)


GOOD = sasl(b"n,,\x01auth=Bearer a.b.c\x01\x01")


@pytest.mark.parametrize("data", [b"p\0\0\0\4", b"p\0\1\0\0", b"Q\0\0\0\x08abc\0", b"p\0\0\0\x08a\0b\0"])
def test_malformed_password(data: bytes) -> None:
    """Only a password message of reasonable size is taken."""
    with pytest.raises(AgentError):
        told(password, data)


def test_password_is_what_everybody_is_asked_for() -> None:
    """Without a word in the startup packet the token is asked for as a password."""
    assert told(lambda stream: credential(stream, Startup("", {})), message(b"p", b"a.b.c\0")) == (
        "a.b.c",
        message(b"R", (3).to_bytes(4, "big")),
    )


def test_bearer() -> None:
    """An agent that chose OAUTHBEARER is offered that and nothing else, and its token is found."""
    asked = Startup("", {}, oauth=True)
    assert told(lambda stream: credential(stream, asked), GOOD) == (
        "a.b.c",
        message(b"R", (10).to_bytes(4, "big") + b"OAUTHBEARER\0\0"),
    )


@pytest.mark.parametrize(
    ("first", "token"),
    [
        (b"y,,\x01auth=bearer  a.b.c\x01\x01", "a.b.c"),
        (b"n,,\x01host=h\x01port=1\x01auth=Bearer x\x01\x01", "x"),
        (b"n,,\x01auth=\x01\x01", ""),
    ],
)
def test_forms_of_the_first_message(first: bytes, token: str) -> None:
    """The scheme in any case, pairs that do not matter, and no token yet (RFC 7628 sections 3.1 and 4.3)."""
    assert told(bearer, sasl(first))[0] == token


@pytest.mark.parametrize(
    "data",
    [
        sasl(b"n,,\x01auth=Bearer x\x01\x01", mechanism=b"SCRAM-SHA-256"),
        sasl(b"n,,\x01auth=Bearer x\x01\x01", length=5),
        sasl(b"", length=0xFFFFFFFF),
        sasl(b"p=tls-exporter,,\x01auth=Bearer x\x01\x01"),
        sasl(b"n,a=root,\x01auth=Bearer x\x01\x01"),
        sasl(b"n,,\x01auth=Basic x\x01\x01"),
        sasl(b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01"),
        sasl(b"n,,\x01host=h\x01\x01"),
        sasl(b"n,,\x01auth=Bearer x\x01"),
        sasl(b"n,,\x01auth=Bearer \xff\x01\x01"),
        message(b"p", b"OAUTHBEARER"),
        b"Q\0\0\0\x08abc\0",
    ],
)
def test_malformed_bearer(data: bytes) -> None:
    """Another mechanism, another identity, two tokens, none, or a broken frame is the agent's fault."""
    with pytest.raises(AgentError):
        told(bearer, data)


@pytest.mark.parametrize(
    ("error", "status"),
    [(AgentError("x", code="token.expired"), "invalid_token"), (Refused("x"), "insufficient_scope")],
)
def test_declined(error: TidegateError, status: str) -> None:
    """The agent is told in the mechanism's own form, and its dummy answer, or its leaving, ends that."""
    for answer in (message(b"p", b"\x01"), b""):
        _, sent = told(lambda stream: decline(stream, error), answer)
        assert sent[:1] == b"R" and sent[5:9] == (11).to_bytes(4, "big")
        assert json.loads(sent[9:]) == {"status": status}


@given(st.lists(st.integers(1, len(GOOD) - 1), max_size=8))
def test_any_split_is_the_same(cuts: list[int]) -> None:
    """However the bytes arrive, the same token is understood."""
    places = [0, *sorted(set(cuts)), len(GOOD)]
    assert told(bearer, *(GOOD[a:b] for a, b in pairwise(places)))[0] == "a.b.c"
