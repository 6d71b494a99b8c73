"""How many keys a held command is about, asked of the server on a connection of the gateway's own (rule 10).

Nothing is tried and no value is read: EXISTS, DBSIZE and TYPE say how many keys there are and of which type. Whatever
cannot be told so is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ConfigError, ResourceError
from tidegate.model.impact import Attempt, Impact
from tidegate.model.operation import Verb
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.operations.redis import Rules, understand
from tidegate.operations.redis_table import Unclear, keys, named
from tidegate.operations.redis_text import parse, quoted, written
from tidegate.wire.redis_frames import ERROR, INTEGER, Command

from .redis_login import Wanted, code, enter
from .redis_login import ask as put

PATIENCE = 10.0
"""Seconds that all of it may take."""

KEYS = 10_000
"""The most keys that are asked for at once."""

LONGEST = 2_000
"""Characters of a value that people are shown."""

EVERY = {"flushdb": "It removes every key of the database.", "keys": "It looks at every key of the database."}
ATTEMPT = "Keys are counted as they are now; nothing was tried."

Ask = Callable[[list[bytes]], Awaitable[bytes]]
Look = Callable[[Ask], Awaitable[Impact]]
Borrow = Callable[[int, Look], Awaitable[Impact]]
Record = Callable[[str], Awaitable[None]]


class Unknown(Exception):
    """Nothing can be told, for this reason."""


async def impact(attempt: Attempt, allowed: Rules, borrow: Borrow, record: Record) -> Impact:
    """The keys that are there. Raises LogFailure; whatever else fails makes it unknown."""
    try:
        args = _arguments(attempt)
        values = tuple(map(_shown, args[1:]))
        database = int(attempt.declared or b"0")
        facts = understand(args, database, allowed).facts
        if facts.verb is Verb.UNKNOWN or facts.command in ("flushall", "swapdb"):
            raise Unknown("it is not known which keys it is about")
        every, found = facts.command in EVERY, _keys(args)
        if not every and not found:
            raise Unknown("it names no key")

        async def look(ask: Ask) -> Impact:
            async def recorded(words: list[bytes]) -> bytes:
                await record(written(words))
                return await ask(words)

            rows = await _count(recorded, [] if every else found)
            notes = (EVERY[facts.command], ATTEMPT) if every else (ATTEMPT,)
            objects = tuple(sorted({*facts.reads, *facts.writes}))[:100]
            return Impact(rows, objects=objects, notes=notes, values=values)

        async with asyncio.timeout(PATIENCE):
            return await borrow(database, look)
    except Unknown as reason:
        return Impact(unknown=str(reason))
    except TimeoutError:
        return Impact(unknown="it took too long")
    except EOFError:
        return Impact(unknown="the server closed the connection")
    except (ResourceError, ConfigError, AgentError) as error:
        return Impact(unknown=error.message)


async def look(resource: Resource, credential: Credential, wanted: Wanted, look: Look) -> Impact:
    """Log in for one look."""
    stream, _ = await enter(resource, credential, wanted, PATIENCE)
    try:
        return await look(lambda words: _put(stream, words))
    finally:
        await stream.close()


async def _put(stream: Stream, words: list[bytes]) -> bytes:
    return await put(stream, words)


async def _count(ask: Ask, found: list[bytes]) -> int:
    reply = await ask([b"EXISTS", *found] if found else [b"DBSIZE"])
    if reply[0] == ERROR:
        raise Unknown(f"the server does not say how many keys there are ({code(reply)})")
    number = reply[1:-2]
    if reply[0] != INTEGER or not number.isdigit():
        raise Unknown("the server does not say how many keys there are")
    return int(number)


def _keys(args: list[bytes]) -> list[bytes]:
    command = named(args)
    try:
        found = [key.name for key in keys(command, args)] if command is not None else []
    except Unclear as unclear:
        raise Unknown(str(unclear)) from None
    if len(found) > KEYS:
        raise Unknown(f"{len(found)} keys are too many to ask for")
    return list(dict.fromkeys(found))


def _arguments(attempt: Attempt) -> list[bytes]:
    """The command: as it came if it was too long for its text, otherwise from its text."""
    if attempt.parameters:
        command = Command(len(attempt.parameters))
        if command.take(attempt.parameters, 0) != len(attempt.parameters) or not command.args:
            raise Unknown("the command is not at hand")
        return command.args
    args = parse(attempt.text)
    if not args:
        raise Unknown("the command cannot be read")
    return args


def _shown(value: bytes) -> str:
    text = quoted(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(value)} bytes)"
