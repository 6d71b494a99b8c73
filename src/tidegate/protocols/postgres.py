"""One agent's PostgreSQL connection: greet, authenticate, connect upstream, hand over to the relay.

Everything up to the relay runs under one deadline. The token decides who the agent is; the user name it gives is not
looked at. The upstream is contacted only after ``session.start`` is durable, with the resource's own login, which the
agent never sees: its cancel key is the gateway's. An error is told in the protocol's own form, without addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tidegate.enforcement import names as known
from tidegate.enforcement.door import Door
from tidegate.enforcement.names import Names
from tidegate.enforcement.session import Session
from tidegate.enforcement.stream import Stream
from tidegate.errors import ConfigError, LogFailure, Refused, ResourceError, TidegateError
from tidegate.model.resource import Resource
from tidegate.wire.postgres import PostgresWire
from tidegate.wire.postgres_messages import message, ready, report

from . import postgres_catalog, postgres_login, postgres_startup
from .postgres_catalog import Schema
from .postgres_login import Greeting

NAME = "postgres"

STATES = {
    "agent.setting": "42501",
    "agent.plaintext": "28000",
    "agent.version": "0A000",
    "agent.malformed": "08P01",
    "limit.message": "54000",
    "gateway.full": "53300",
    "resource.unreachable": "08001",
    "resource.database": "3D000",
    "resource.full": "53300",
}
"""SQLSTATEs of errors before the relay runs; others by whose fault they are."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with both its sides, ready for the relay."""

    session: Session
    upstream: Stream
    greeting: Greeting
    names: Names[Schema]


async def serve(stream: Stream, door: Door, resource: Resource | None) -> None:
    """Run one agent's connection until it ends. Raises TidegateError, EOFError, TimeoutError."""
    try:
        async with asyncio.timeout(door.limits.handshake):
            opened = await _open(stream, door, resource)
    except TidegateError as error:
        stream.write(report(b"E", "FATAL", sqlstate(error), error.message, hint=error.hint))
        raise
    if opened is None:
        return
    names = opened.names
    wire = PostgresWire(
        opened.session.classify, lambda oid, number: names.current.column(oid, number), door.limits.message
    )
    try:
        await door.relay(opened.session, stream, opened.upstream, wire, cast(Names[known.Schema], names))
    finally:
        await opened.upstream.close()


async def names(door: Door, resource: Resource) -> Names[known.Schema]:
    """What is known of a resource's objects in its configured database. Raises ResourceError, ConfigError."""
    return cast(Names[known.Schema], await _names(door, resource, resource.database))


async def _open(stream: Stream, door: Door, resource: Resource | None) -> Opened | None:
    startup = await postgres_startup.greet(stream, door)
    if startup is None:
        return None
    name, database = postgres_startup.resource_name(startup.database)
    if resource is None:
        resource = door.resource(name)
        resource = resource if resource is not None and resource.protocol == NAME else None
    elif name != resource.name:
        database = startup.database
    token = await postgres_startup.token(stream)
    session = await door.admit(token, resource, peer=stream.peer, secure=stream.secure, protocol=NAME)
    try:
        opened = await _connect(door, session, database or session.resource.database, startup.settings)
        _welcome(stream, door, opened)
    except BaseException as error:
        door.close(session, "resource_failed" if isinstance(error, ResourceError) else "failed")
        raise
    return opened


async def _connect(door: Door, session: Session, database: str, settings: Mapping[str, str]) -> Opened:
    """Read the names, then open the upstream side with the least that the session needs (rule 11)."""
    resource = session.resource
    if resource.database and database != resource.database:
        raise Refused(
            "only the resource's own database may be opened",
            rule="tidegate.database",
            hint=f"Connect to {resource.name}; another database is another resource.",
            code="policy.refused",
        )
    names = await _names(door, resource, database)
    upstream = await postgres_login.reach(resource, door.limits.handshake)
    try:
        greeting = await postgres_login.login(
            upstream,
            resource,
            door.secret(resource),
            {
                **settings,
                "database": database,
                "application_name": f"tidegate:{session.id}",
                "statement_timeout": str(door.limits.operation * 1000),
                "default_transaction_read_only": "on" if session.reads_only else "off",
            },
        )
    except BaseException:
        await upstream.close()
        raise
    return Opened(session, upstream, greeting, names)


async def _names(door: Door, resource: Resource, database: str) -> Names[Schema]:
    return await door.catalog(
        resource,
        database,
        lambda: postgres_catalog.load(
            resource, database, door.secret(resource), lambda text: door.statement(resource, text)
        ),
    )


def _welcome(stream: Stream, door: Door, opened: Opened) -> None:
    """Tell the agent that it is in, with the server's settings and a cancel key of the gateway's own."""
    resource, greeting = opened.session.resource, opened.greeting
    number, secret = door.cancels().register(
        opened.session, lambda: postgres_login.cancel(resource, greeting, door.limits.handshake)
    )
    reports = (message(b"S", f"{name}\0{value}\0".encode()) for name, value in greeting.settings.items())
    key = message(b"K", number.to_bytes(4, "big") + secret)
    stream.write(message(b"R", bytes(4)) + b"".join(reports) + key + ready("I"))


def sqlstate(error: TidegateError) -> str:
    """The SQLSTATE for an error before the relay runs."""
    if error.code in STATES:
        return STATES[error.code]
    faults = {LogFailure: "58030", ResourceError: "08006", ConfigError: "58000", Refused: "28000"}
    return faults.get(type(error), "28P01")
