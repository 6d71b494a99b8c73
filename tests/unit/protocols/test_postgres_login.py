"""Logins to real servers: versions, SCRAM with and without channel binding, MD5, and what is told of faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers import Postgres
from tidegate.enforcement.stream import Stream
from tidegate.errors import ResourceError
from tidegate.model.resource import Address, Resource
from tidegate.model.secret import Credential
from tidegate.protocols._scram import end_point
from tidegate.protocols.postgres_login import Greeting, enter, login
from tidegate.protocols.postgres_reach import reach
from tidegate.wire.postgres_messages import message
from unit.protocols.test_postgres_startup import Line

DATABASE = {"database": "postgres"}


def resource(server: Postgres, tls: str = "disable", ca: str = "", direct: bool = False) -> Resource:
    """The server as a resource."""
    address = Address("127.0.0.1", server.port)
    return Resource("shop", "postgres", address, "postgres", server.user, tls=tls, ca=ca, direct_tls=direct)


async def greeting(shop: Resource, password: str, settings: Mapping[str, str] = DATABASE) -> tuple[Greeting, bool]:
    """What the server says, and whether the connection was encrypted."""
    stream, told = await enter(shop, Credential(shop.user, password), settings, 5)
    await stream.close()
    return told, stream.secure


def test_scram(postgres: Postgres) -> None:
    """SCRAM-SHA-256 logs in, with the gateway's own settings."""
    told, secure = asyncio.run(greeting(resource(postgres), postgres.password))
    assert told.settings["client_encoding"] == "UTF8" and told.number and not secure


@pytest.mark.parametrize(("edition", "length"), [("postgres", 32), ("postgres_debian", 4)])
def test_newest_version_that_both_speak(request: pytest.FixtureRequest, edition: str, length: int) -> None:
    """A server of version 18 is spoken to in 3.2, whose keys are long; an older one settles for 3.0."""
    server: Postgres = request.getfixturevalue(edition)
    told, _ = asyncio.run(greeting(resource(server), server.password))
    assert len(told.secret) == length


@pytest.mark.parametrize("state", [b"0A000", b"08P01"])
def test_server_that_does_not_negotiate(state: bytes) -> None:
    """A server or pooler that refuses 3.2 with an error is asked again in 3.0."""

    async def attempt() -> Greeting:
        asked: list[bytes] = []

        def answer(heard: bytes) -> bytes:
            asked.append(heard[4:8])
            if heard[7] != 0:
                return message(b"E", b"SFATAL\0C" + state + b"\0Munsupported\0\0")
            return message(b"R", bytes(4)) + message(b"K", bytes(8)) + message(b"Z", b"I")

        async with answering(answer) as shop:
            stream, told = await enter(shop, Credential(shop.user), DATABASE, 5)
            await stream.close()
        assert asked == [b"\0\3\0\2", b"\0\3\0\0"]
        return told

    assert asyncio.run(attempt()).secret == bytes(4)


def test_md5(postgres_debian: Postgres) -> None:
    """An older server's MD5 login works."""
    told, _ = asyncio.run(greeting(resource(postgres_debian), postgres_debian.password))
    assert told.settings["standard_conforming_strings"] == "on"


@pytest.mark.parametrize("auth", ["trust", "password"])
def test_trust_and_cleartext(auth: str) -> None:
    """A server that asks for nothing, or for the password in clear over loopback, lets the gateway in."""
    with Postgres("18", auth=auth) as server:
        told, _ = asyncio.run(greeting(resource(server), server.password))
    assert told.settings["standard_conforming_strings"] == "on"


def test_channel_binding(postgres_tls: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS the login is bound to the server's certificate: with another one's hash the server refuses it."""
    shop = resource(postgres_tls, "require")
    used: list[bytes] = []

    def bound(certificate: bytes) -> bytes:
        used.append(certificate)
        return end_point(certificate) if len(used) == 1 else bytes(32)

    monkeypatch.setattr("tidegate.protocols.postgres_login.end_point", bound)
    assert asyncio.run(greeting(shop, postgres_tls.password))[1] and len(used) == 1
    with pytest.raises(ResourceError, match="SQLSTATE"):
        asyncio.run(greeting(shop, postgres_tls.password))


def test_channel_binding_cannot_be_taken_away(postgres_tls: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody in the middle strikes the offer, the gateway says that it could have bound, and the server ends."""
    monkeypatch.setattr("tidegate.protocols.postgres_login.PLUS", "SCRAM-SHA-256-UNHEARD")
    with pytest.raises(ResourceError, match="SQLSTATE"):
        asyncio.run(greeting(resource(postgres_tls, "require"), postgres_tls.password))


def test_wrong_password_is_told_without_details(postgres: Postgres) -> None:
    """The error names neither role nor address nor password."""
    with pytest.raises(ResourceError) as caught:
        asyncio.run(greeting(resource(postgres), "wr0ng"))
    told = caught.value.message + caught.value.hint
    assert "28P01" in told and "wr0ng" not in told and postgres.user not in told and "127.0.0.1" not in told


def test_missing_database(postgres: Postgres) -> None:
    """A database that does not exist has a code of its own."""
    with pytest.raises(ResourceError) as caught:
        asyncio.run(greeting(resource(postgres), postgres.password, {"database": "nowhere"}))
    assert caught.value.code == "resource.database"


def test_settings_are_applied(postgres: Postgres) -> None:
    """Startup settings arrive, and those the gateway insists on cannot be overridden."""
    asked = {**DATABASE, "timezone": "Asia/Tokyo", "client_encoding": "LATIN1"}
    told, _ = asyncio.run(greeting(resource(postgres), postgres.password, asked))
    assert (told.settings["TimeZone"], told.settings["client_encoding"]) == ("Asia/Tokyo", "UTF8")


@asynccontextmanager
async def answering(answer: Callable[[bytes], bytes]) -> AsyncIterator[Resource]:
    """A server that answers the first bytes of each connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.read(1000)))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Resource("shop", "postgres", Address("127.0.0.1", port), "postgres", "app")


def pretender(*said: bytes) -> AbstractAsyncContextManager[Resource]:
    """A server that says these bytes whatever it hears."""
    return answering(lambda heard: b"".join(said))


@pytest.mark.parametrize(
    "said",
    [
        message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-1\0\0"),
        message(b"R", (7).to_bytes(4, "big")),
        message(b"Z", b"I"),
        message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-256\0\0") + message(b"R", bytes(4)),
        message(b"R", bytes(4)) + message(b"S", b"client_encoding\0SQL_ASCII\0"),
        message(b"R", bytes(4)) + message(b"v", bytes(8)),
        message(b"v", bytes(8)) + message(b"v", bytes(8)) + message(b"R", bytes(4)),
        message(b"v", b"\0\3\0\2" + bytes(4)) + message(b"R", bytes(4)),
        message(b"v", b"\0\3\0\0\0\0\0\1_pq_.x\0") + message(b"R", bytes(4)),
        message(b"R", bytes(4)) + message(b"K", bytes(7)),
        message(b"R", bytes(4)) + message(b"K", bytes(261)),
        message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-256-PLUS\0\0"),
        b"R\x7f\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_strange_servers(said: bytes) -> None:
    """A server that wants another login, skips its proof or reads another language is refused."""

    async def attempt() -> None:
        async with pretender(said) as shop:
            async with asyncio.timeout(5):
                stream, _ = await enter(shop, Credential(shop.user, "s3cret"), DATABASE, 5)
            await stream.close()

    with pytest.raises(ResourceError):
        asyncio.run(attempt())


def test_clear_password_only_over_a_safe_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in clear is sent to loopback, never over a plaintext line to elsewhere."""

    async def attempt() -> None:
        async with pretender(message(b"R", (3).to_bytes(4, "big"))) as shop:
            stream = await reach(shop, 5)
            monkeypatch.setattr("tidegate.protocols.postgres_login.loopback", lambda stream, end: False)
            try:
                await login(stream, Credential(shop.user, "s3cret"), DATABASE)
            finally:
                await stream.close()

    with pytest.raises(ResourceError, match="not accepted"):
        asyncio.run(attempt())


GREETING = (
    message(b"v", b"\0\3\0\0" + bytes(4))
    + message(b"R", (3).to_bytes(4, "big"))
    + message(b"R", bytes(4))
    + message(b"S", b"client_encoding\0UTF8\0")
    + message(b"N", b"SWARNING\0\0")
    + message(b"K", (7).to_bytes(4, "big") + b"abcd")
    + message(b"Z", b"I")
)


@given(st.lists(st.integers(1, len(GREETING) - 1), max_size=8))
def test_any_split_of_a_greeting_is_the_same(cuts: list[int]) -> None:
    """However a server's bytes arrive, the login ends the same."""
    places = [0, *sorted(set(cuts)), len(GREETING)]

    async def conversation() -> Greeting:
        stream = Stream()
        stream.connection_made(Line("127.0.0.1"))
        shop = Resource("shop", "postgres", Address("127.0.0.1", 1), "postgres", "app")
        logging_in = asyncio.ensure_future(login(stream, Credential(shop.user, "s3cret"), DATABASE, 2))
        for begin, end in pairwise(places):
            stream.data_received(GREETING[begin:end])
            await asyncio.sleep(0)
        return await logging_in

    assert asyncio.run(conversation()) == Greeting({"client_encoding": "UTF8"}, 7, b"abcd")
