"""One agent's Redis connection: greet, authenticate, connect upstream, hand over to the relay.

Everything up to the relay runs under one deadline. The token decides who the agent is; the user name it gives is the
resource's name, left out on the resource's own port. RESET, after which an agent is nobody again, ends the session, and
the connection begins anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from tidegate.enforcement.door import Door
from tidegate.enforcement.fixed import Fixed
from tidegate.enforcement.names import Names, Schema
from tidegate.enforcement.session import Session
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, Refused, ResourceError, TidegateError
from tidegate.model.impact import Attempt, Impact
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.operations.redis import Understood, classify, rules, understand
from tidegate.operations.redis_table import fits, named
from tidegate.operations.redis_text import reading as reading
from tidegate.operations.redis_text import redacted as redacted
from tidegate.wire.redis import RedisWire
from tidegate.wire.redis_frames import CRLF

from . import redis_impact
from .redis_greeting import Greeting, greet, secure
from .redis_login import Wanted, enter

NAME = "redis"
ALPN = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with both its sides, ready for the relay; ``hello`` is the server's answer to HELLO."""

    session: Session
    upstream: Stream
    names: Names[Fixed]
    greeting: Greeting
    hello: bytes


async def serve(stream: Stream, door: Door, resource: Resource | None) -> None:
    """Run one agent's connection until it ends. Raises TidegateError, EOFError, TimeoutError."""
    begins = True
    while True:
        try:
            async with asyncio.timeout(door.limits.handshake):
                if begins:
                    await secure(stream, door)
                begins = False
                opened = await _open(stream, door, resource)
        except TidegateError as error:
            stream.write(_said(error))
            raise
        if opened is None:
            return
        stream.write(opened.hello if opened.greeting.hello else b"+OK\r\n")
        rest = await _relay(stream, door, opened)
        if rest is None:
            return
        stream.write(b"+RESET\r\n")
        stream.unfeed(rest)


def options(resource: Resource) -> None:
    """``scripts`` and ``functions`` that may run, see ``registry.Protocols``; ``database`` must be a number."""
    rules(resource.options)
    _database(resource)


async def names(door: Door, resource: Resource) -> Names[Schema]:
    """What keys mean, see ``registry.Protocols``: the same for good."""
    return cast(Names[Schema], await _names(door, resource))


async def impact(door: Door, resource: Resource, attempt: Attempt, *, run: bool) -> Impact:  # noqa: ARG001 - nothing is tried
    """How many keys an attempt is about, see ``registry.Protocols``."""

    def wanted(database: int) -> Wanted:
        return Wanted(2, "tidegate:impact", database)

    return await redis_impact.impact(
        attempt,
        rules(resource.options),
        lambda database, look: door.keyring.borrow(
            resource, lambda credential: redis_impact.look(resource, credential, wanted(database), look)
        ),
        lambda text: door.intent(resource, text, "impact"),
    )


async def _open(stream: Stream, door: Door, resource: Resource | None) -> Opened | None:
    greeting = await greet(stream)
    if greeting is None:
        return None
    stream.progress += 2
    named_ = greeting.name or (resource.name if resource is not None else "")
    if resource is None:
        resource = door.resource(named_)
        resource = resource if resource is not None and resource.protocol == NAME else None
    session = await door.admit(
        greeting.token, resource, peer=stream.peer, secure=stream.secure, protocol=NAME, named=named_
    )
    try:
        return await _connect(door, session, greeting)
    except BaseException as error:
        door.close(session, "resource_failed" if isinstance(error, ResourceError) else "failed")
        raise


async def _connect(door: Door, session: Session, greeting: Greeting) -> Opened:
    resource = session.resource
    wanted = Wanted(greeting.protocol, f"tidegate:{session.id}", _database(resource))
    known = await _names(door, resource)

    async def login(credential: Credential) -> tuple[Stream, bytes]:
        return await enter(resource, credential, wanted, door.limits.handshake)

    upstream, hello = await door.keyring.open(str(session.id), resource, login)
    return Opened(session, upstream, known, greeting, hello)


async def _relay(stream: Stream, door: Door, opened: Opened) -> bytes | None:
    resource = opened.session.resource
    allowed = rules(resource.options)

    def understood(args: Sequence[bytes], database: int) -> Understood:
        return understand(args, database, allowed)

    wire = RedisWire(
        understood,
        misfit,
        door.limits.message,
        database=_database(resource),
        protocol=opened.greeting.protocol,
        masks=bool(resource.tags or resource.detect),
        detect=bool(resource.detect),
    )
    try:
        return await door.relay(opened.session, stream, opened.upstream, wire, cast(Names[Schema], opened.names))
    finally:
        await opened.upstream.close()


async def _names(door: Door, resource: Resource) -> Names[Fixed]:
    allowed = rules(resource.options)
    said = json.dumps([sorted(allowed.scripts), sorted(allowed.functions), resource.database])

    async def load() -> Fixed:
        digest = hashlib.sha256(said.encode()).digest()
        return Fixed(digest, partial(classify, database=_database(resource), allowed=allowed))

    return await door.catalog(resource, "", load)


def misfit(args: Sequence[bytes]) -> str:
    """The server's own error for a command that it does not know, or that has too few or many arguments."""
    command = named(args)
    if command is None:
        return f"ERR unknown command '{_shown(args[0])}'"
    if not fits(command, len(args)):
        return f"ERR wrong number of arguments for '{command.name.replace(' ', '|')}' command"
    return ""


def _shown(word: bytes) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in word[:64].decode("latin-1"))


def _database(resource: Resource) -> int:
    if not resource.database:
        return 0
    if resource.database.isdecimal() and len(resource.database) <= 5:
        return int(resource.database)
    raise ConfigError(
        f"resource {resource.name}: database {resource.database!r} is no number",
        hint="Databases of this protocol are numbers, such as 0.",
        code="config.options",
    )


def _said(error: TidegateError) -> bytes:
    """An error before the relay runs, on one line."""
    word = "ERR"
    if isinstance(error, Refused):
        word = "NOPERM"
    elif isinstance(error, AgentError) and not error.code.startswith(("agent.", "limit.", "resource.")):
        word = "WRONGPASS"
    hint = f"{error.hint} " if error.hint else ""
    text = f"{word} {error.message} ({hint}code {error.code})"
    return b"-" + " ".join(text.split()).encode("utf-8", "backslashreplace") + CRLF
