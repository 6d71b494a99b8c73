"""What an agent is told when its connection does not come about, and options; whole connections are in tests/e2e."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, LogFailure, Refused, ResourceError, TidegateError
from tidegate.model.resource import Address, Resource
from tidegate.protocols.redis import misfit, options, serve
from tidegate.protocols.redis_greeting import Greeting, greet, secure
from unit.protocols.test_postgres_startup import Line

SHOP = Resource("shop", "redis", Address("127.0.0.1", 1))
OTHER = Resource("other", "postgres", Address("127.0.0.1", 1))


class Door:
    """Knows two resources and admits nobody, but keeps what it was asked."""

    tls = None
    limits = SimpleNamespace(handshake=5)
    error: TidegateError = AgentError("The token does not hold.", hint="Ask for one.", code="token.signature")
    asked: tuple[str, Resource | None, object]

    def resource(self, name: str) -> Resource | None:
        return {"shop": SHOP, "other": OTHER}.get(name)

    async def admit(self, credential: str, resource: Resource | None, *, named: str, **facts: object) -> None:
        self.asked = (credential, resource, named)
        raise self.error


def connect(said: bytes, resource: Resource | None = None, door: Door | None = None) -> tuple[Door, bytes]:
    """Connect with a token that does not hold; what the door was asked, and what the agent was told."""
    door, line = door or Door(), Line("127.0.0.1")

    async def conversation() -> None:
        stream = Stream()
        stream.connection_made(line)
        stream.data_received(said)
        facade: Any = door
        with pytest.raises(TidegateError):
            await serve(stream, facade, resource)

    asyncio.run(conversation())
    return door, line.written


@pytest.mark.parametrize(
    ("said", "own", "asked"),
    [
        (b"AUTH shop t\r\n", None, ("t", SHOP, "shop")),
        (b"HELLO 3 AUTH shop t SETNAME x\r\n", None, ("t", SHOP, "shop")),
        (b"AUTH t\r\n", SHOP, ("t", SHOP, "shop")),
        (b"AUTH default t\r\n", SHOP, ("t", SHOP, "default")),
        (b"AUTH t\r\n", None, ("t", None, "")),
        (b"AUTH other t\r\n", None, ("t", None, "other")),
        (b"AUTH nosuch t\r\n", None, ("t", None, "nosuch")),
    ],
)
def test_which_resource_is_meant(said: bytes, own: Resource | None, asked: tuple[str, Resource | None, str]) -> None:
    """By the user name, or by the port; a resource of another protocol is none."""
    door, told = connect(said, own)
    assert door.asked == asked
    assert told == b"-WRONGPASS The token does not hold. (Ask for one. code token.signature)\r\n"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (Refused("No grant.", code="grant.none"), b"-NOPERM "),
        (ResourceError("It is down.", code="resource.unreachable"), b"-ERR "),
        (LogFailure("The disk\r\nis full."), b"-ERR The disk is full. (code audit.unavailable)\r\n"),
        (AgentError("RESP3?", code="resource.version"), b"-ERR "),
    ],
)
def test_errors_are_one_line(error: TidegateError, word: bytes) -> None:
    """Whatever its kind."""
    door = Door()
    door.error = error
    told = connect(b"AUTH shop t\r\n", None, door)[1]
    assert told.startswith(word) and told.count(b"\n") == 1


def meet(*pieces: bytes, host: str = "127.0.0.1") -> tuple[Greeting | None, bytes, bytes]:
    """Greet an agent that says these pieces: who it is, what it was told, and what it said beyond that."""
    line = Line(host)

    async def conversation() -> tuple[Greeting | None, bytes]:
        stream = Stream()
        stream.connection_made(line)
        door: Any = SimpleNamespace(tls=None)

        async def both() -> Greeting | None:
            await secure(stream, door)
            return await greet(stream)

        greeting = asyncio.ensure_future(both())
        for data in pieces:
            stream.data_received(data)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not greeting.done():
            stream.eof_received()
        return await greeting, stream.unread()

    found, rest = asyncio.run(conversation())
    return found, line.written, rest


def test_a_greeting_in_any_pieces_leaves_what_follows_unread() -> None:
    """A pipeline may begin with AUTH."""
    said = b"*3\r\n$4\r\nAUTH\r\n$4\r\nshop\r\n$1\r\nt\r\n"
    for cut in range(1, len(said)):
        assert meet(said[:cut], said[cut:] + b"GET a\r\n") == (Greeting("shop", "t"), b"", b"GET a\r\n")


def test_what_may_precede_it() -> None:
    """PING, QUIT, and HELLO without AUTH, which is told to come with it."""
    found, told, _ = meet(b"PING\r\nGET a\r\nHELLO 3\r\nHELLO 9\r\nHELLO 3 X\r\n\r\nHELLO 2 AUTH shop t\r\n")
    assert found == Greeting("shop", "t", 2, hello=True)
    words = [line.split()[0] for line in told.splitlines()]
    assert words == [b"+PONG", b"-NOAUTH", b"-NOAUTH", b"-NOPROTO", b"-ERR"]
    assert meet(b"QUIT\r\n") == (None, b"+OK\r\n", b"")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"PING\r\n" * 17, "agent.malformed"),
        (b"*1\r\n$20000\r\n" + b"x" * 17000, "limit.message"),
        (b"x" * 17000, "limit.message"),
        (b"AUTH shop \xff\r\n", "token.malformed"),
        (b"*1\r\n$-1\r\n", "agent.malformed"),
    ],
)
def test_limits_before_the_agent_is_known(said: bytes, code: str) -> None:
    """Commands, bytes, and garbage."""
    with pytest.raises(AgentError) as error:
        meet(said)
    assert error.value.code == code


def test_plaintext_is_for_loopback_only() -> None:
    """Where the gateway's own end is elsewhere, TLS must come first."""
    with pytest.raises(AgentError) as error:
        meet(b"AUTH shop t\r\n", host="10.0.0.1")
    assert error.value.code == "agent.plaintext"


def test_an_agent_that_leaves() -> None:
    """In the middle of a command."""
    with pytest.raises(EOFError):
        meet(b"*2\r\n$4\r\nAU")


@pytest.mark.parametrize("words", [{"scripts": ["x"]}, {"scripts": "x"}, {"nosuch": []}])
def test_options_that_are_none(words: dict[str, object]) -> None:
    """Said at start."""
    with pytest.raises(ConfigError):
        options(Resource("shop", "redis", Address("h", 1), options=words))


@pytest.mark.parametrize("database", ["x", "-1", "123456", "٣x"])
def test_databases_that_are_none(database: str) -> None:
    """They are numbers."""
    with pytest.raises(ConfigError):
        options(Resource("shop", "redis", Address("h", 1), database))


def test_options_that_hold() -> None:
    """Scripts by SHA-1, functions by name, a number."""
    options(Resource("shop", "redis", Address("h", 1), "3", options={"scripts": ["ab" * 20], "functions": ["f"]}))


def test_misfits() -> None:
    """As the server says it."""
    assert misfit([b"GET"]) == "ERR wrong number of arguments for 'get' command"
    assert misfit([b"CLIENT", b"KILL"]) == "ERR wrong number of arguments for 'client|kill' command"
    assert misfit([b"NO\r\nSUCH"]) == "ERR unknown command 'NO??SUCH'"
    assert misfit([b"GET", b"a"]) == ""
