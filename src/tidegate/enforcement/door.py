"""Where a connection becomes a session, or does not.

A token alone opens nothing: it must be valid for exactly this resource, not revoked, and carry a live grant whose row
in the store is signed and matches it; the policy in force must still let the whole chain connect; there must be room
on the disk for evidence. Then ``session.start`` is durable, and only then does the upstream hear of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import AgentError, LogFailure, Refused, TidegateError
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Claims, Issuer
from tidegate.model.identity import Grant, Identity
from tidegate.model.operation import Wire
from tidegate.model.resource import Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.recording.writer import Recorder
from tidegate.settings import Limits
from tidegate.store.rows import Store

from .approvals import Approvals
from .cancels import CancelDesk
from .names import Atlas, Names, Schema
from .relay import Relay
from .revocations import Revocations
from .scrub import Scrub
from .session import Session
from .sessions import Sessions
from .stream import Stream
from .trail import Trail

ROOM_FOR_SESSIONS = 0.10

CREDENTIAL = 1
"""Reason of a redaction in a recording: in place of the agent's credential stand its length and a salted hash."""

S = TypeVar("S", bound=Schema)


class Door:
    """What a protocol needs: resources, admission, the relay. Event loop only."""

    def __init__(
        self,
        *,
        log: Log,
        store: Store,
        issuer: Issuer,
        directory: Directory,
        engine: Engine,
        approvals: Approvals,
        sessions: Sessions,
        revocations: Revocations,
        resources: Mapping[str, Resource],
        resolve: Callable[[str], str],
        limits: Limits,
        tls: ssl.SSLContext | None,
        mask_key: bytes,
        clock: Clock,
        failures: Callable[[str, str], None],
    ) -> None:
        self.limits = limits
        self.tls = tls
        self.desk = CancelDesk(log)
        self.atlas = Atlas()
        self._log = log
        self._store = store
        self._issuer = issuer
        self._directory = directory
        self._engine = engine
        self._approvals = approvals
        self._sessions = sessions
        self._revocations = revocations
        self._resources = resources
        self._resolve = resolve
        self._mask_key = mask_key
        self._clock = clock
        self._failures = failures

    def resource(self, name: str) -> Resource | None:
        """A resource by its name; whoever asks learns no more from ``None`` than from a bad token."""
        return self._resources.get(name)

    def cancels(self) -> CancelDesk:
        """Where cancel requests go."""
        return self.desk

    def secret(self, resource: Resource) -> str:
        """The upstream's password, read now and kept nowhere. Raises ConfigError."""
        return self._resolve(resource.secret) if resource.secret else ""

    async def admit(
        self, credential: str, resource: Resource | None, *, peer: str, secure: bool, protocol: str
    ) -> Session:
        """A session for this credential on this resource. Raises AgentError, Refused, LogFailure."""
        try:
            claims, identity, grant = await self._who(credential, resource)
        except TidegateError as error:
            self._failures(error.code, peer)
            raise
        assert resource is not None
        self._room()
        return await self._open(
            credential, claims, identity, grant, resource, peer=peer, secure=secure, protocol=protocol
        )

    async def _who(self, credential: str, resource: Resource | None) -> tuple[Claims, Identity, Grant]:
        claims = self._issuer.verify(credential, f"resource:{resource.name}" if resource else "resource:")
        if resource is None:
            raise AgentError("the token is for another resource", code="token.audience")
        if self._revoked(claims):
            raise AgentError("the token was revoked", hint="Ask for a new one.", code="token.revoked")
        identity = await asyncio.to_thread(self._directory.identity, claims)
        grant = await asyncio.to_thread(self._grant, claims, resource)
        decision = self._engine.ability(identity, resource, "connect")
        if decision.effect is not Effect.ALLOW:
            raise Refused(
                f"{identity.title} may not connect to {resource.name}",
                rule=decision.rules[0],
                hint=decision.hint or "Ask for a rule that lets everybody in the chain connect.",
                code="policy.refused",
            )
        return claims, identity, grant

    def _revoked(self, claims: Claims) -> bool:
        return any(name in self._revocations for name in (claims.id, claims.grant, *claims.chain))

    def _grant(self, claims: Claims, resource: Resource) -> Grant:
        row = self._store.grant(claims.grant) if claims.grant else None
        if row is None or row.state != "active":
            raise Refused("there is no grant for this token", hint="Ask for access.", code="grant.missing")
        if tuple(row.subjects) != claims.chain or row.resource != resource.name:
            raise Refused("the grant is not for this identity and resource", code="grant.mismatch")
        if row.expires <= self._clock.now():
            raise Refused("the grant has expired", hint="Ask for access again.", code="grant.expired")
        return Grant(row.id, tuple(row.subjects), row.resource, row.expires, row.rule, row.reason, row.leaf)

    def _room(self) -> None:
        if self._log.failed is not None:
            raise self._log.failed
        if self._log.room() < ROOM_FOR_SESSIONS:
            raise LogFailure("the disk that holds the evidence is nearly full", hint="Free space on it.")
        if len(self._sessions) >= self.limits.sessions:
            raise Refused("the gateway has no room for another session", hint="Try later.", code="gateway.full")

    async def _open(
        self,
        credential: str,
        claims: Claims,
        identity: Identity,
        grant: Grant,
        resource: Resource,
        *,
        peer: str,
        secure: bool,
        protocol: str,
    ) -> Session:
        sid = self._clock.session_id()
        vault = await asyncio.to_thread(self._log.vault, sid)
        keys = {track: vault.frame_key(track) for track in ("agent", "upstream")}
        header = {"sid": str(sid), "proto": protocol, "res": resource.name, "origin": self._log.origin}
        recorder = Recorder(sid, header=header, keys=keys, write=self._log.append_chunk, clock=self._clock)
        recorder.redacted(0, credential.encode(), CREDENTIAL)
        trail = Trail(self._log, vault, recorder, identity, sid)
        session = Session(
            sid=sid,
            identity=identity,
            resource=resource,
            grant=grant,
            token=claims.id,
            engine=self._engine,
            trail=trail,
            approvals=self._approvals,
            clock=self._clock,
            mask_key=hmac.digest(self._mask_key, resource.name.encode(), hashlib.sha256),
            reads_only=not self._engine.may_change(identity, resource),
            halted=lambda: self._sessions.full,
        )
        trail.append(
            "session.start",
            {"res": resource.name, "gid": grant.id, "jti": claims.id, "tls": secure, "gl": grant.leaf},
            {"net": peer.encode(), "who": identity.title.encode(), "why": grant.reason.encode()},
        )
        await self._log.sync()
        if self._revoked(claims):
            trail.end("token_revoked", {})
            raise AgentError("the token was revoked", hint="Ask for a new one.", code="token.revoked")
        self._sessions.add(session)
        return session

    # while it runs

    def statement(self, resource: Resource, text: str) -> None:
        """Rule 10: what the gateway asks for itself is in the log before it is asked."""
        self._log.append("gateway.statement", {"res": resource.name, "op": "catalog"}, private={"stmt": text.encode()})

    async def catalog(self, resource: Resource, database: str, load: Callable[[], Awaitable[S]]) -> Names[S]:
        """What is known of the resource's objects, fresh enough to open a session with."""
        return await self.atlas.names(resource, database, load)

    async def relay(self, session: Session, agent: Stream, upstream: Stream, wire: Wire, names: Names[Schema]) -> None:
        """Run the session until it ends; its last leaf is in the log when this returns. Raises Refused, LogFailure."""
        reason = "failed"
        try:
            agent.admitted = True
            if session.ended:
                raise Refused("the session was ended before it began", code="session.killed")
            session.learn(names)
            scrub = Scrub(self.secret(session.resource))
            relay = Relay(session, agent, upstream, wire, self._log, buffer=self.limits.buffer, scrub=scrub)
            session.busy = lambda: relay.waiting
            async with asyncio.TaskGroup() as tasks:

                def stop() -> None:
                    tasks.create_task(self.desk.give_up(session))

                session.stop = stop
                self._sessions.relaying(session, relay)
                try:
                    reason = await relay.run()
                finally:
                    session.stop = None
        finally:
            self.desk.forget(session)
            self.close(session, session.ended or reason)
            await names.read_back()

    def close(self, session: Session, reason: str) -> None:
        """Write the last leaf, once; nothing is written when the log itself has failed."""
        self._sessions.remove(session, reason)
        if self._log.failed is None:
            session.end(reason)
