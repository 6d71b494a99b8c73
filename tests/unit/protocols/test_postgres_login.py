"""Logins to real servers: SCRAM, MD5, TLS in each mode, and what an agent is told when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from servers import Postgres
from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, ResourceError
from tidegate.model.resource import Address, Resource
from tidegate.protocols.postgres_login import Greeting, cancel, login, reach, receive
from tidegate.wire.postgres_messages import message

DATABASE = {"database": "postgres"}


def resource(server: Postgres, tls: str = "disable", ca: str = "") -> Resource:
    """The server as a resource."""
    return Resource("shop", "postgres", Address("127.0.0.1", server.port), "postgres", server.user, tls=tls, ca=ca)


async def greeting(shop: Resource, password: str, settings: Mapping[str, str] = DATABASE) -> tuple[Greeting, bool]:
    """What the server says, and whether the connection was encrypted."""
    stream = await reach(shop, 5)
    try:
        return await login(stream, shop, password, settings), stream.secure
    finally:
        await stream.close()


def test_scram(postgres: Postgres) -> None:
    """SCRAM-SHA-256 logs in, with the gateway's own settings."""
    told, secure = asyncio.run(greeting(resource(postgres), postgres.password))
    assert told.settings["client_encoding"] == "UTF8" and told.number and len(told.secret) >= 4 and not secure


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


@pytest.mark.parametrize("tls", ["require", "verify-full"])
def test_tls(postgres_tls: Postgres, tls: str) -> None:
    """Both modes encrypt; verify-full checks the chain and the name."""
    assert postgres_tls.tls is not None
    shop = resource(postgres_tls, tls, str(postgres_tls.tls.authority))
    assert asyncio.run(greeting(shop, postgres_tls.password))[1]


def test_tls_with_an_unknown_authority(postgres_tls: Postgres) -> None:
    """verify-full refuses a server whose certificate nobody vouches for."""
    with pytest.raises(ResourceError, match="TLS"):
        asyncio.run(greeting(resource(postgres_tls, "verify-full"), postgres_tls.password))


def test_tls_that_the_server_does_not_offer(postgres: Postgres) -> None:
    """There is no falling back to plaintext."""
    with pytest.raises(ResourceError, match="TLS"):
        asyncio.run(greeting(resource(postgres, "require"), postgres.password))


def test_unreadable_authority(postgres_tls: Postgres) -> None:
    """A missing ca file is the operator's fault."""
    with pytest.raises(ConfigError):
        asyncio.run(greeting(resource(postgres_tls, "require", "/nowhere.pem"), postgres_tls.password))


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


async def first_error(stream: Stream) -> bytes:
    """The body of the next ErrorResponse."""
    while True:
        tag, body = await receive(stream)
        if tag == b"E":
            return body


def test_cancel(postgres: Postgres) -> None:
    """A cancel request ends what the session runs."""

    async def cancelled() -> bytes:
        shop = resource(postgres)
        stream = await reach(shop, 5)
        told = await login(stream, shop, postgres.password, DATABASE)
        stream.write(message(b"Q", b"select pg_sleep(60)\0"))
        failed = asyncio.create_task(first_error(stream))
        while not failed.done():
            await cancel(shop, told, 5)
            await asyncio.wait([failed], timeout=0.1)
        await stream.close()
        return await failed

    assert b"C57014\0" in asyncio.run(cancelled())


@asynccontextmanager
async def pretender(*said: bytes) -> AsyncIterator[Resource]:
    """A server that says these bytes whatever it hears."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"".join(said))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield Resource("shop", "postgres", Address("127.0.0.1", port), "postgres", "app")


@pytest.mark.parametrize(
    "said",
    [
        message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-1\0\0"),
        message(b"R", (7).to_bytes(4, "big")),
        message(b"Z", b"I"),
        message(b"R", (10).to_bytes(4, "big") + b"SCRAM-SHA-256\0\0") + message(b"R", bytes(4)),
        message(b"R", bytes(4)) + message(b"S", b"client_encoding\0SQL_ASCII\0"),
        message(b"R", bytes(4)) + message(b"v", bytes(8)),
        b"R\x7f\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_strange_servers(said: bytes) -> None:
    """A server that wants another login, skips its proof or reads another language is refused."""

    async def attempt() -> None:
        async with pretender(said) as shop:
            stream = await reach(shop, 5)
            try:
                async with asyncio.timeout(5):
                    await login(stream, shop, "s3cret", DATABASE)
            finally:
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
                await login(stream, replace(shop), "s3cret", DATABASE)
            finally:
                await stream.close()

    with pytest.raises(ResourceError, match="not accepted"):
        asyncio.run(attempt())
