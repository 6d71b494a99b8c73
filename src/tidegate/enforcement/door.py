"""Where a connection becomes a session, or does not.

A credential alone opens nothing: ``admission`` says who comes with it and by which live grant; there must be room on
the disk for evidence. Then ``session.start`` is durable, nothing of it has been revoked meanwhile, and only then does
the upstream hear of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import AgentError, LogFailure, Refused, TidegateError
from tidegate.identity.throttle import Throttle
from tidegate.model.approval import Held
from tidegate.model.operation import Wire
from tidegate.model.resource import Resource
from tidegate.policy.engine import Engine
from tidegate.recording.writer import Recorder
from tidegate.settings import Limits

from .admission import Admission, Admitted
from .cancels import CancelDesk
from .keyring import Keyring
from .names import Atlas, Names, Others, Schema
from .places import Doorkeeper
from .register import Desk
from .relay import Relay
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
        admission: Admission,
        engine: Engine,
        desk: Desk,
        sessions: Sessions,
        resources: Mapping[str, Resource],
        keyring: Keyring,
        limits: Limits,
        tls: ssl.SSLContext | None,
        mask_key: bytes,
        clock: Clock,
        failures: Callable[[str, str], None],
        throttle: Throttle,
        places: Doorkeeper,
        worker: int = 0,
        cancel_elsewhere: Callable[[int, bytes], Awaitable[None]] | None = None,
        others: Others | None = None,
    ) -> None:
        self.keyring = keyring
        self.limits = limits
        self.tls = tls
        self.desk = CancelDesk(log, failures, worker=worker, elsewhere=cancel_elsewhere)
        self.atlas = Atlas(others)
        self._places = places
        self._log = log
        self._admission = admission
        self._engine = engine
        self._desk = desk
        self._sessions = sessions
        self._resources = resources
        self._mask_key = mask_key
        self._clock = clock
        self._failures = failures
        self._throttle = throttle

    def resource(self, name: str) -> Resource | None:
        """A resource by its name; whoever asks learns no more from ``None`` than from a bad token."""
        return self._resources.get(name)

    def cancels(self) -> CancelDesk:
        """Where cancel requests go."""
        return self.desk

    async def admit(
        self,
        credential: str | bytes,
        resource: Resource | None,
        *,
        peer: str,
        secure: bool,
        protocol: str,
        named: str = "",
    ) -> Session:
        """A session for this token, or certificate in DER, on this resource. Raises AgentError, Refused, LogFailure.

        ``named`` is what the agent called it, also when there is none.
        """
        try:
            admitted = await self._admission.of(credential, resource, named)
        except TidegateError as error:
            self._failures(error.code, peer)
            await self._throttle.rebuke(peer)
            raise
        assert resource is not None
        self._room()
        sid = self._clock.session_id()
        await self._places.take(str(sid))
        try:
            return await self._open(credential, admitted, resource, sid, peer=peer, secure=secure, protocol=protocol)
        except BaseException:
            self._places.free(str(sid))
            raise

    def _room(self) -> None:
        if self._log.failed is not None:
            raise self._log.failed
        if self._log.room() < ROOM_FOR_SESSIONS:
            raise LogFailure("the disk that holds the evidence is nearly full", hint="Free space on it.")
        if self._sessions.alone is not None:
            raise self._sessions.alone

    async def _open(
        self,
        credential: str | bytes,
        admitted: Admitted,
        resource: Resource,
        sid: uuid.UUID,
        *,
        peer: str,
        secure: bool,
        protocol: str,
    ) -> Session:
        identity, grant = admitted.identity, admitted.grant
        vault = await asyncio.to_thread(self._log.vault, sid)
        keys = {track: vault.frame_key(track) for track in ("agent", "upstream")}
        header = {"sid": str(sid), "proto": protocol, "res": resource.name, "origin": self._log.origin}
        recorder = Recorder(sid, header=header, keys=keys, write=self._log.append_chunk, clock=self._clock)
        if isinstance(credential, str):
            recorder.redacted(0, credential.encode(), CREDENTIAL)
        trail = Trail(self._log, vault, recorder, identity, sid)
        session = Session(
            sid=sid,
            identity=identity,
            resource=resource,
            grant=grant,
            token=admitted.token,
            engine=self._engine,
            trail=trail,
            desk=self._desk,
            clock=self._clock,
            mask_key=hmac.digest(self._mask_key, resource.name.encode(), hashlib.sha256),
            reads_only=not self._engine.may_change(identity, resource),
            halted=lambda: self._sessions.full or self._sessions.alone,
        )
        trail.append(
            "session.start",
            {
                "res": resource.name,
                "gid": grant.id,
                "jti": admitted.token,
                "prf": [hop.proof for hop in identity.chain],
                "tls": secure,
                "gl": grant.leaf,
            },
            {"net": peer.encode(), "who": identity.title.encode(), "why": grant.reason.encode()},
        )
        try:
            await self._log.sync()
        except asyncio.CancelledError:
            trail.end("failed", {})
            raise
        try:
            self._admission.check(admitted)
        except AgentError:
            trail.end("token_revoked", {})
            raise
        self._sessions.add(session, admitted.rests)
        return session

    # while it runs

    def statement(self, resource: Resource, text: str) -> None:
        """Rule 10: what the gateway asks for itself is in the log before it is asked."""
        self._log.append("gateway.statement", {"res": resource.name, "op": "catalog"}, private={"stmt": text.encode()})

    async def intent(self, resource: Resource, text: str, purpose: str) -> None:
        """The same for what is asked for another purpose; durable on return. Raises LogFailure."""
        fields = {"res": resource.name, "op": purpose}
        self._log.append("gateway.statement", {**fields}, private={"stmt": text.encode()})
        await self._log.sync()

    async def catalog(self, resource: Resource, database: str, load: Callable[[], Awaitable[S]]) -> Names[S]:
        """What is known of the resource's objects, fresh enough to open a session with."""
        return await self.atlas.names(resource, database, load)

    async def relay(
        self, session: Session, agent: Stream, upstream: Stream, wire: Wire, names: Names[Schema]
    ) -> bytes | None:
        """Run the session until it ends; its last leaf is in the log when this returns. Raises Refused, LogFailure.

        Gives what the agent sent beyond a session that hands its connection over, otherwise None.
        """
        reason = "failed"
        try:
            agent.admitted = True
            if session.ended:
                raise Refused("the session was ended before it began", code="session.killed")
            session.learn(names)
            scrub = Scrub(self.keyring.known(session.resource))
            relay = Relay(session, agent, upstream, wire, self._log, buffer=self.limits.buffer, scrub=scrub)
            session.busy = lambda: relay.busy
            async with asyncio.TaskGroup() as tasks:

                def stop() -> None:
                    tasks.create_task(self.desk.give_up(session))

                session.stop = stop
                self._sessions.relaying(session, relay)
                try:
                    reason = await relay.run()
                finally:
                    session.stop = None
            return relay.rest
        finally:
            self.desk.forget(session)
            self.close(session, session.ended or reason)
            await names.read_back()

    async def approval(self, session: Session, id: str, patience: float) -> Held:
        """How an approval stands that the session's own chain asked for; waits so many seconds for an answer.

        Raises Refused, also for one of somebody else's: it is as unknown as one that is not there.
        """
        held = await self._desk.wait(id, patience)
        question = held.question
        asked = [hop.subject for hop in question.requester.chain]
        if question.resource != session.resource.name or asked != [hop.subject for hop in session.identity.chain]:
            raise Refused("there is no such approval", code="approval.unknown")
        return held

    def close(self, session: Session, reason: str) -> None:
        """Write the last leaf, once; nothing is written when the log itself has failed."""
        self._sessions.remove(session, reason)
        self._places.free(str(session.id))
        self.keyring.close(str(session.id))
        if self._log.failed is None:
            session.end(reason)
