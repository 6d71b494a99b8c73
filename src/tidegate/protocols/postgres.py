"""One agent's PostgreSQL connection: greet, authenticate, connect upstream, hand over to the relay.

Everything up to the relay runs under one deadline. The credential decides who the agent is; the user name it gives is
not looked at. The upstream is contacted only after ``session.start`` is durable, with the resource's own login, which
the agent never sees: its cancel key is the gateway's. An error is told in the protocol's own form, without addresses.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, replace
from typing import cast

from tidegate.enforcement import names as known
from tidegate.enforcement.cancels import SHORT
from tidegate.enforcement.door import Door
from tidegate.enforcement.names import Names
from tidegate.enforcement.session import Session
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, IntegrityError, LogFailure, Refused, ResourceError, TidegateError
from tidegate.model.impact import Attempt, Impact
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.operations.sql_reading import reading as reading
from tidegate.operations.sql_redaction import redacted as redacted
from tidegate.wire.postgres import PostgresWire
from tidegate.wire.postgres_messages import message, ready, report

from . import postgres_catalog, postgres_credential, postgres_impact, postgres_login, postgres_reach, postgres_startup
from .postgres_catalog import Schema
from .postgres_login import Greeting
from .postgres_parameters import LOGICAL, Startup

NAME = "postgres"
ALPN = postgres_startup.ALPN

LONG = 32
"""Bytes of a cancel key's secret for agents that speak 3.2, where it may be longer than 4 bytes."""

STATES = {
    "agent.setting": "42501",
    "agent.replication": "42501",
    "agent.plaintext": "28000",
    "agent.version": "0A000",
    "agent.alpn": "08P01",
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
    key: int


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
        opened.session.classify,
        lambda: cast(Schema, opened.session.sight.schema),
        door.limits.message,
    )
    try:
        await door.relay(opened.session, stream, opened.upstream, wire, cast(Names[known.Schema], names))
    finally:
        await opened.upstream.close()


def options(resource: Resource) -> None:
    """There are none, see ``registry.Protocols``."""
    if resource.options:
        raise ConfigError(
            f"resource {resource.name}: {NAME} has no options",
            hint="Leave `options` out of tidegate.yaml.",
            code="config.options",
        )


async def names(door: Door, resource: Resource) -> Names[known.Schema]:
    """What is known of a resource's objects in its configured database. Raises ResourceError, ConfigError."""
    return cast(Names[known.Schema], await _names(door, resource, resource.database))


async def impact(door: Door, resource: Resource, attempt: Attempt, *, run: bool) -> Impact:
    """What an attempt would do, see ``registry.Protocols``."""
    try:
        known = await _names(door, resource, resource.database)
        await known.fresh(0.0)  # what is proven harmless must not be a name that somebody has just taken
    except (ResourceError, ConfigError) as error:
        return Impact(unknown=error.message, values=postgres_impact.shown(attempt))
    place = postgres_impact.Place(
        resource,
        known,
        lambda look: door.keyring.borrow(resource, look),
        lambda text: door.intent(resource, text, "impact"),
    )
    found = await postgres_impact.impact(place, attempt, run=run)
    return replace(found, values=postgres_impact.shown(attempt))


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
    if startup.replication and startup.replication != LOGICAL:
        database = ""  # Physical replication is of the whole server, whatever is named here.
    session = await _admit(stream, door, resource, startup, name)
    try:
        opened = await _connect(door, session, database or session.resource.database, startup)
        _welcome(stream, door, opened)
    except BaseException as error:
        door.close(session, "resource_failed" if isinstance(error, ResourceError) else "failed")
        raise
    return opened


async def _admit(stream: Stream, door: Door, resource: Resource | None, startup: Startup, name: str) -> Session:
    stream.progress += 1
    credential = await postgres_credential.credential(stream, startup)
    stream.progress += 1
    try:
        return await door.admit(credential, resource, peer=stream.peer, secure=stream.secure, protocol=NAME, named=name)
    except (AgentError, Refused) as error:
        if startup.oauth and isinstance(credential, str):
            await postgres_credential.decline(stream, error)
        raise


async def _connect(door: Door, session: Session, database: str, startup: Startup) -> Opened:
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
    settings = {
        "database": database,
        "application_name": f"tidegate:{session.id}",
        "statement_timeout": str(min(startup.patience or sys.maxsize, door.limits.operation * 1000)),
        "default_transaction_read_only": "on" if session.reads_only else "off",
    }
    session.wait = startup.wait
    session.mute = bool(startup.replication)  # such a connection does not speak the extended protocol

    async def enter(credential: Credential) -> tuple[Stream, Greeting]:
        wanted = {**_wanted(session, names.current, startup, credential.user), **settings}
        return await postgres_login.enter(resource, credential, wanted, door.limits.handshake)

    upstream, greeting = await door.keyring.open(str(session.id), resource, enter)
    return Opened(session, upstream, greeting, names, LONG if startup.minor else SHORT)


def _wanted(session: Session, schema: Schema, startup: Startup, user: str) -> dict[str, str]:
    """The startup parameters of the agent's that reach the server. Raises AgentError."""
    if startup.path and not schema.begins_with(startup.path, user):
        raise AgentError(
            "The startup parameter search_path is not accepted.",
            hint="Leave it out: sessions have the search path of the resource's own login.",
            code="agent.setting",
        )
    if not startup.replication:
        return dict(startup.settings)
    if not session.resource.replication:
        raise AgentError(
            "This resource is not open to replication.",
            hint="Leave the startup parameter replication out; an operator can set `replication: true`.",
            code="agent.replication",
        )
    return {**startup.settings, "replication": startup.replication}


async def _names(door: Door, resource: Resource, database: str) -> Names[Schema]:
    async def load(credential: Credential) -> Schema:
        return await postgres_catalog.load(resource, database, credential, lambda text: door.statement(resource, text))

    return await door.catalog(resource, database, lambda: door.keyring.borrow(resource, load))


def _welcome(stream: Stream, door: Door, opened: Opened) -> None:
    """Tell the agent that it is in, with the server's settings and a cancel key of the gateway's own."""
    resource, greeting, patience = opened.session.resource, opened.greeting, door.limits.handshake
    number, secret = door.cancels().register(
        opened.session,
        lambda: postgres_reach.cancel(resource, greeting.number, greeting.secret, patience),
        length=opened.key,
    )
    reports = (message(b"S", f"{name}\0{value}\0".encode()) for name, value in greeting.settings.items())
    key = message(b"K", number.to_bytes(4, "big") + secret)
    stream.write(message(b"R", bytes(4)) + b"".join(reports) + key + ready("I"))


def sqlstate(error: TidegateError) -> str:
    """The SQLSTATE for an error before the relay runs."""
    if error.code in STATES:
        return STATES[error.code]
    faults = {
        LogFailure: "58030",
        IntegrityError: "58000",
        ResourceError: "08006",
        ConfigError: "58000",
        Refused: "28000",
    }
    return faults.get(type(error), "28P01")
