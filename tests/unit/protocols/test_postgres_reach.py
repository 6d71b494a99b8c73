"""Connections to real servers: TLS in each mode, and cancel requests that end when the server has acted."""

from __future__ import annotations

import asyncio

import pytest

from servers import Postgres
from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, ResourceError
from tidegate.model.resource import Address, Resource
from tidegate.model.secret import Credential
from tidegate.protocols.postgres_login import enter, receive
from tidegate.protocols.postgres_reach import cancel, reach
from tidegate.wire.postgres_messages import message
from unit.protocols.test_postgres_login import DATABASE, resource


def secured(shop: Resource) -> bool:
    """Whether a connection to the resource is encrypted."""

    async def attempt() -> bool:
        stream = await reach(shop, 5)
        await stream.close()
        return stream.secure

    return asyncio.run(attempt())


@pytest.mark.parametrize("tls", ["require", "verify-full"])
def test_tls(postgres_tls: Postgres, tls: str) -> None:
    """Both modes encrypt; verify-full checks the chain and the name."""
    assert postgres_tls.tls is not None
    shop = resource(postgres_tls, tls, str(postgres_tls.tls.authority))
    assert secured(shop)


def test_tls_with_an_unknown_authority(postgres_tls: Postgres) -> None:
    """verify-full refuses a server whose certificate nobody vouches for."""
    with pytest.raises(ResourceError, match="TLS"):
        secured(resource(postgres_tls, "verify-full"))


def test_tls_that_the_server_does_not_offer(postgres: Postgres) -> None:
    """There is no falling back to plaintext."""
    with pytest.raises(ResourceError, match="TLS"):
        secured(resource(postgres, "require"))


def test_unreadable_authority(postgres_tls: Postgres) -> None:
    """A missing ca file is the operator's fault."""
    with pytest.raises(ConfigError):
        secured(resource(postgres_tls, "require", "/nowhere.pem"))


def test_direct_tls(postgres_tls: Postgres) -> None:
    """A server from version 17 on takes TLS without being asked first."""
    assert postgres_tls.tls is not None
    assert secured(resource(postgres_tls, "verify-full", str(postgres_tls.tls.authority), direct=True))


def test_direct_tls_that_the_server_does_not_speak(postgres_debian: Postgres) -> None:
    """An older server closes the connection, and there is no falling back."""
    with pytest.raises(ResourceError):
        secured(resource(postgres_debian, "require", direct=True))


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
        stream, told = await enter(shop, Credential(shop.user, postgres.password), DATABASE, 5)
        stream.write(message(b"Q", b"select pg_sleep(60)\0"))
        failed = asyncio.create_task(first_error(stream))
        while not failed.done():
            await cancel(shop, told.number, told.secret, 5)
            await asyncio.wait([failed], timeout=0.1)
        await stream.close()
        return await failed

    assert b"C57014\0" in asyncio.run(cancelled())


def unresponsive(patience: float, *, listens: bool) -> None:
    """Ask a server that never closes, or that is not there, to cancel."""

    async def attempt() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        async with server:
            if not listens:
                server.close()
            await cancel(Resource("shop", "postgres", address), 1, b"abcd", patience)

    asyncio.run(attempt())


def test_a_cancel_that_nobody_confirms() -> None:
    """A server that does not close the connection leaves it open whether it has acted."""
    with pytest.raises(TimeoutError):
        unresponsive(0.2, listens=True)


def test_a_cancel_that_was_never_sent() -> None:
    """A server that is not there was not asked."""
    with pytest.raises(ResourceError):
        unresponsive(5, listens=False)
