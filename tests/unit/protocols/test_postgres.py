"""What an agent is told when its connection does not come about; whole connections are in tests/e2e."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, LogFailure, Refused, ResourceError, TidegateError
from tidegate.model.resource import Address, Resource
from tidegate.protocols.postgres import serve, sqlstate
from tidegate.protocols.registry import PROTOCOLS
from unit.protocols.test_postgres_startup import Line, startup

PASSWORD = b"p\0\0\0\x0atoken\0"


class Door:
    """Knows one resource and admits nobody, but keeps what it was asked."""

    tls = None
    limits = SimpleNamespace(handshake=5)
    asked: tuple[str, Resource | None]

    def resource(self, name: str) -> Resource | None:
        return {"shop": SHOP, "cache": CACHE}.get(name)

    async def admit(self, credential: str, resource: Resource | None, **facts: object) -> None:
        self.asked = (credential, resource)
        raise AgentError("The token does not hold.", hint="Ask for one.", code="token.signature")


SHOP = Resource("shop", "postgres", Address("127.0.0.1", 1))
CACHE = Resource("cache", "other", Address("127.0.0.1", 1))


def connect(database: str, resource: Resource | None = None) -> tuple[Door, bytes]:
    """Connect with a token that does not hold; what the door was asked, and what the agent was told."""
    door, line = Door(), Line("127.0.0.1")

    async def conversation() -> None:
        stream = Stream()
        stream.connection_made(line)
        stream.data_received(startup("user", "x", "database", database) + PASSWORD)
        facade: Any = door
        with pytest.raises(AgentError):
            await serve(stream, facade, resource)

    asyncio.run(conversation())
    return door, line.written


@pytest.mark.parametrize(
    ("database", "own", "found"),
    [
        ("shop", None, SHOP),
        ("shop/stock", None, SHOP),
        ("nothing", None, None),
        ("cache", None, None),
        ("x", SHOP, SHOP),
    ],
)
def test_which_resource(database: str, own: Resource | None, found: Resource | None) -> None:
    """The resource is named by the database, or by the port; another protocol's is unknown here."""
    assert connect(database, own)[0].asked == ("token", found)


def test_unknown_resources_look_like_bad_tokens() -> None:
    """The agent is told the same in both cases."""
    assert connect("shop")[1] == connect("nothing")[1]


def test_refused_credential() -> None:
    """A password is asked for, and the refusal is a fatal error in the protocol's form."""
    told = connect("shop")[1]
    assert told.startswith(b"R\0\0\0\x08\0\0\0\x03E") and b"C28P01\0MThe token does not hold.\0HAsk for one.\0" in told


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (AgentError("x"), "08P01"),
        (AgentError("x", code="token.expired"), "28P01"),
        (Refused("x", code="grant.missing"), "28000"),
        (Refused("x", code="gateway.full"), "53300"),
        (ResourceError("x"), "08006"),
        (ResourceError("x", code="resource.unreachable"), "08001"),
        (ResourceError("x", code="resource.database"), "3D000"),
        (LogFailure("x"), "58030"),
        (ConfigError("x"), "58000"),
    ],
)
def test_sqlstates(error: TidegateError, state: str) -> None:
    """Each fault has its SQLSTATE."""
    assert sqlstate(error) == state


def test_registry() -> None:
    """The protocol is known by its name."""
    assert set(PROTOCOLS) >= {"postgres"}
