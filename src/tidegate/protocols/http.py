"""One agent's HTTP connection: a head says who asks for what, a session serves it, and others may follow on it.

A session is one identity's on one resource. The agent's connection outlives it: a request with another token, or for
another resource, or behind an answer that ended with the upstream's connection, gets a session of its own. Every error
is an answer (RFC 9457), without addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.enforcement.door import Door
from tidegate.enforcement.fixed import Fixed
from tidegate.enforcement.names import Names, Schema
from tidegate.enforcement.scrub import Scrub
from tidegate.enforcement.session import Session
from tidegate.enforcement.stream import Stream
from tidegate.errors import AgentError, ResourceError, TidegateError
from tidegate.masking.patterns import PatternTags
from tidegate.model.impact import Attempt, Impact
from tidegate.model.resource import Resource
from tidegate.model.secret import Credential
from tidegate.operations.http_reading import reading as reading
from tidegate.operations.http_reading import redacted as redacted
from tidegate.wire.http import HttpWire
from tidegate.wire.http_bodies import Bodies
from tidegate.wire.http_credential import login, presented, token
from tidegate.wire.http_forward import Sender
from tidegate.wire.http_head import Head
from tidegate.wire.http_places import Origin
from tidegate.wire.http_route import Route, route

from . import http_opening, http_options, http_reach, http_status
from .http_opening import NAME, Opening, known
from .http_options import Options
from .http_site import Reader
from .http_upstream import Kept

ALPN = http_opening.ALPN

BETWEEN = 60.0
"""Seconds that an agent's connection may rest without a session before its next request."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session with its upstream side, ready for the relay."""

    session: Session
    upstream: Stream
    wire: HttpWire
    names: Names[Schema]


async def serve(stream: Stream, door: Door, resource: Resource | None) -> None:
    """Run one agent's connection until it ends. Raises TidegateError, EOFError, TimeoutError."""
    try:
        async with asyncio.timeout(door.limits.handshake):
            await http_opening.encrypt(stream, door)
            opened = await _open(stream, door, resource)
    except TidegateError as error:
        await http_opening.decline(stream, error)
        raise
    while (rest := await _relay(stream, door, opened) if opened is not None else b"") is not None:
        stream.unfeed(rest)
        try:
            opened = await _next(stream, door, resource)
        except TidegateError as error:
            await http_opening.decline(stream, error)
            raise
    await http_opening.leave(stream)


async def _next(stream: Stream, door: Door, resource: Resource | None) -> Opened | None:
    """The next session on the same connection."""
    async with asyncio.timeout(BETWEEN):
        first = await stream.exactly(1)
    stream.unfeed(first)
    async with asyncio.timeout(door.limits.handshake):
        return await _open(stream, door, resource)


async def _relay(stream: Stream, door: Door, opened: Opened) -> bytes | None:
    """What the agent said beyond the session, None when its connection is over."""
    session, wire = opened.session, opened.wire
    try:
        rest = await door.relay(session, stream, opened.upstream, wire, opened.names)
    finally:
        await opened.upstream.close(0.0)
    if rest is None and wire.idle and not session.ended and not stream.gone:
        return wire.rest  # the answer ended with the upstream's connection
    return rest


async def _open(stream: Stream, door: Door, resource: Resource | None) -> Opened | None:
    """A session for the next request; None when that was answered here."""
    asked = await http_opening.opening(stream, door, resource)
    stream.progress += 1
    if not asked.credential:
        raise AgentError("A token is required.", hint="Send it as `Authorization: Bearer TOKEN`.", code="auth.missing")
    session = await door.admit(
        asked.credential, asked.resource, peer=stream.peer, secure=stream.secure, protocol=NAME, named=asked.where.name
    )
    try:
        if http_status.asks(asked.where.target):
            await _tell(stream, door, session, asked)
            return None
        return await _connect(door, session, asked, resource)
    except BaseException as error:
        door.close(session, "resource_failed" if isinstance(error, ResourceError) else "failed")
        raise


async def _tell(stream: Stream, door: Door, session: Session, asked: Opening) -> None:
    """Say how an approval stands, and end the session."""
    raw = await stream.exactly(asked.size)
    secret = asked.credential if isinstance(asked.credential, str) else ""
    said = await http_status.answer(door, session, asked.head, raw, asked.where.target, secret)
    door.close(session, "agent_left")
    stream.write(said)


async def _connect(door: Door, session: Session, asked: Opening, own: Resource | None) -> Opened:
    resource, options = session.resource, http_options.known(session.resource)
    found = await names(door, resource)

    async def reach(credential: Credential) -> Stream:
        return await http_reach.reach(resource, credential, door.limits.handshake, clear=options.cleartext)

    async def enter(credential: Credential) -> tuple[Stream, Credential]:
        return await reach(credential), credential

    first, credential = await door.keyring.open(str(session.id), resource, enter)
    wire = _wire(door, session, options, asked, own, credential)
    return Opened(session, Kept(first, lambda: reach(credential), wire), wire, found)


def _wire(
    door: Door, session: Session, options: Options, asked: Opening, own: Resource | None, credential: Credential
) -> HttpWire:
    resource, mine, proof = session.resource, asked.where, presented(asked.head)

    def where(head: Head) -> bytes | None:
        """The target of a request that is for this session: by the same credential, in the same place."""
        if isinstance(asked.credential, str) and presented(head) != proof and token(head) != asked.credential:
            return None
        found: Route = route(head, own, lambda name: known(door, name) is not None)
        same = (found.name, found.prefix) == (mine.name, mine.prefix) and not http_status.asks(found.target)
        return found.target if same else None

    scrub = Scrub(door.keyring.known(resource))

    def search(data: bytes, more: bool) -> bytes:
        clean = scrub.stream(data, data, more=more)[1]
        if scrub.found:
            session.alert("credential.echoed")
        return clean

    host = options.host or _host(resource)
    masked = bool(resource.tags or resource.detect or options.site.tags)
    return HttpWire(
        Reader(options.site),
        Sender(host.encode(), login(credential, options.header), masked, options.private, options.overriding),
        Origin("http" if resource.tls == "disable" else "https", host, mine.prefix, options.away),
        where,
        Bodies(_tagged(resource, options), searching=bool(resource.detect), binary=options.binary),
        search,
        limit=door.limits.message,
        websocket=options.websocket,
        token=asked.credential if isinstance(asked.credential, str) else "",
        approval=lambda id: f"{mine.prefix.decode()}{http_status.PLACE}{id}",
    )


def _tagged(resource: Resource, options: Options) -> Callable[[str], bool]:
    """Whether fields in bodies of an object's answers are tagged."""
    tags = {**options.site.tags, **resource.tags}
    known = PatternTags(
        {field: tag for field, tag in tags.items() if not field.name.startswith("header.")}, lambda _: frozenset()
    )
    return lambda object: known.touched((object,))


def _host(resource: Resource) -> str:
    """The name that the server knows itself by, without the port that its scheme has anyway."""
    usual = 80 if resource.tls == "disable" else 443
    address = resource.address
    return str(address).removesuffix(f":{usual}") if address.port == usual else str(address)


def options(resource: Resource) -> None:
    """See ``registry.Protocols``. Raises ConfigError."""
    http_options.read(resource)


async def names(door: Door, resource: Resource) -> Names[Schema]:
    """What is known of a resource's objects: a path says by itself what it names."""

    async def load() -> Fixed:
        site = http_options.known(resource).site
        return Fixed(site.digest, site.read, site.tags)

    return await door.catalog(resource, "", load)


async def impact(_door: Door, _resource: Resource, _attempt: Attempt, *, run: bool) -> Impact:  # noqa: ARG001 - its part
    """What a request would do is known to its server alone."""
    return Impact(unknown="an HTTP request cannot be tried: only its server knows what it does")
