"""Logins to a real server, and what is told of servers that are wrong or lie; the impact of held commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from servers import Redis
from tidegate.errors import AgentError, ResourceError
from tidegate.model.impact import Attempt, Impact
from tidegate.model.resource import Address, Resource
from tidegate.model.secret import Credential
from tidegate.operations.redis import Rules
from tidegate.protocols.redis_impact import Ask, Look, impact
from tidegate.protocols.redis_impact import look as look_at
from tidegate.protocols.redis_login import Wanted, ask, enter, fields
from tidegate.wire.redis_frames import encoded

SECRET = "upstream-secret"
WANTED = Wanted(3, "tidegate:x", 2)
HELLO = b"*4\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$5\r\nproto\r\n:2\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    """A server with a password."""
    with Redis(SECRET, ["user app on >other-secret ~* +@all"]) as found:
        yield found


def at(port: int) -> Resource:
    """A resource there."""
    return Resource("shop", "redis", Address("127.0.0.1", port))


async def entered(resource: Resource, user: str, password: str, wanted: Wanted = WANTED) -> tuple[bytes, bytes]:
    """The server's HELLO, and how it sees the connection then."""
    stream, hello = await enter(resource, Credential(user, password), wanted, 5)
    seen = await ask(stream, [b"CLIENT", b"INFO"])
    await stream.close()
    return hello, seen


@pytest.mark.parametrize(("user", "password"), [("", SECRET), ("app", "other-secret")])
@pytest.mark.parametrize("protocol", [2, 3])
def test_logins(server: Redis, user: str, password: str, protocol: int) -> None:
    """With and without a user, in both versions; the connection is named and in its database."""
    hello, seen = asyncio.run(entered(at(server.port), user, password, Wanted(protocol, "tidegate:x", 2)))
    assert hello[:1] == (b"%" if protocol == 3 else b"*")
    assert fields(hello)[b"mode"] == b"standalone"
    assert b" name=tidegate:x " in seen and b" db=2 " in seen
    assert f" user={user or 'default'} ".encode() in seen


def test_wrong_secrets(server: Redis) -> None:
    """Told by a code, so that a rotated secret is tried; the server's own words are not passed on."""
    for user, password in (("", "wrong"), ("app", "wrong"), ("", "")):
        with pytest.raises(ResourceError) as error:
            asyncio.run(entered(at(server.port), user, password))
        assert error.value.code == "resource.login" and "WRONGPASS" not in error.value.hint


def test_a_clusters_node_is_not_taken() -> None:
    """A real one, whose keys would lie elsewhere."""
    with Redis(SECRET, ["cluster-enabled yes"]) as node, pytest.raises(ResourceError) as error:
        asyncio.run(entered(at(node.port), "", SECRET))
    assert error.value.code == "resource.cluster" and str(node.port) not in error.value.message


async def against(answers: dict[bytes, bytes], protocol: int = 2) -> bytes:
    """The login to a server that says these; +OK to all else."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            name = next((name for name in answers if name in data), b"")
            writer.write(answers.get(name, b"+OK\r\n"))
            if answers.get(name) == b"":
                writer.close()
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        stream, hello = await enter(at(port), Credential("", SECRET), Wanted(protocol, "x", 0), 5)
        await stream.close()
        return hello


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({b"HELLO": HELLO.replace(b"$10\r\nstandalone", b"$7\r\ncluster")}, "resource.cluster"),
        ({b"HELLO": HELLO.replace(b"$10\r\nstandalone", b"$8\r\nsentinel")}, "resource.cluster"),
        ({b"HELLO": b"*0\r\n"}, "resource.cluster"),
        ({b"HELLO": b"-ERR unknown command 'HELLO'\r\n"}, "resource.version"),
        ({b"HELLO": b"-NOAUTH\r\n"}, "resource.login"),
        ({b"HELLO": b"*99999999\r\n" + b":1\r\n" * 20000}, "resource.answer"),
        ({b"HELLO": b"nonsense\r\n"}, "resource.garbled"),
        ({b"HELLO": HELLO + b"+OK\r\n"}, "resource.failed"),
        ({b"AUTH": b"-LOADING of " + SECRET.encode() + b"\r\n"}, "resource.login"),
        ({b"SETNAME": b"-NOPERM no\r\n", b"HELLO": HELLO}, "resource.login"),
        ({b"AUTH": b""}, "resource.failed"),
    ],
)
def test_servers_that_are_not_taken(said: dict[bytes, bytes], code: str) -> None:
    """Other modes, old versions, lies, endless and half answers; no text of theirs is passed on."""
    with pytest.raises(ResourceError) as error:
        asyncio.run(against(said))
    assert error.value.code == code and SECRET not in error.value.message


def test_a_server_without_resp3_is_the_agents_to_know() -> None:
    """It may ask for RESP2."""
    with pytest.raises(AgentError, match="does not speak RESP3"):
        asyncio.run(against({b"HELLO": b"-NOPROTO unsupported protocol version\r\n"}, protocol=3))
    assert asyncio.run(against({b"HELLO": HELLO})) == HELLO


# impact


def looked(server: Redis, text: str, database: int = 0, parameters: bytes = b"") -> tuple[Impact, list[str]]:
    """The impact of a command, and what the gateway recorded of its own questions."""
    recorded: list[str] = []

    async def record(text: str) -> None:
        recorded.append(text)

    def borrow(number: int, look: Look) -> Awaitable[Impact]:
        return look_at(at(server.port), Credential("", SECRET), Wanted(2, "tidegate:impact", number), look)

    attempt = Attempt(text, parameters, b"%d" % database, "")
    return asyncio.run(impact(attempt, Rules(), borrow, record)), recorded


def test_impact_counts_keys(server: Redis) -> None:
    """Those that are there, in the command's own database; every question is recorded first."""
    server.cli("MSET", "a", "1", "b c", "2", database=4)
    found, recorded = looked(server, 'DEL a "b c" none', 4)
    assert (found.rows, found.exact) == (2, False) and recorded == ['EXISTS a "b c" none']
    assert found.objects == ("4/a", "4/b c", "4/none") and found.values == ("a", '"b c"', "none")
    assert looked(server, "DEL a", 0)[0].rows == 0
    assert looked(server, "FLUSHDB", 4)[0].rows == 2
    long = encoded([b"SET", b"a", b"x" * 3000])
    found, _ = looked(server, "SET a xxx... (1 arguments cut)", 4, long)
    assert found.rows == 1 and len(found.values[1]) < 3000


@pytest.mark.parametrize(
    "text", ["FLUSHALL", "EVAL x 0", "NOSUCH a", "PUBLISH c x", 'SET "a', "", "SORT l BY w_* GET *", "PING"]
)
def test_impact_that_cannot_be_told(server: Redis, text: str) -> None:
    """It is unknown, and says why."""
    found, recorded = looked(server, text)
    assert found.unknown and found.rows is None and not recorded


def test_impact_when_the_server_fails() -> None:
    """Also unknown."""

    def failing(error: Exception) -> Callable[[int, Look], Awaitable[Impact]]:
        async def borrow(number: int, look: Look) -> Impact:
            raise error

        return borrow

    async def refused(words: list[bytes]) -> bytes:
        return b"-NOPERM User x\r\n"

    async def borrow(number: int, look: Callable[[Ask], Awaitable[Impact]]) -> Impact:
        return await look(refused)

    async def record(text: str) -> None: ...

    attempt = Attempt("DEL a", b"", b"", "")
    for way in (failing(ResourceError("down")), failing(EOFError()), failing(TimeoutError()), borrow):
        assert asyncio.run(impact(attempt, Rules(), way, record)).unknown
