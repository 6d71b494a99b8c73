"""Grants: asked for by a person or an agent, approved by policy or by people, active from first use, over on time.

Invariants: a grant is for exactly one chain and one resource. Each step is a durable leaf before the row says so. The
clock starts with the approval; a yes of people is used up by the grant that it gives, and only while the policy that
asked is in force and the chain still stands. What was ended by a kill switch or a revocation is never activated.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace

import structlog

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import AgentError, LogFailure, Refused, TidegateError
from tidegate.identity.directory import Directory
from tidegate.journal import surprise
from tidegate.model.approval import APPROVED, GRANT, WAITING, WITHDRAWN, Held
from tidegate.model.event import Json
from tidegate.model.identity import BREAKGLASS, Grant, Identity
from tidegate.model.resource import Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.store.rows import GrantRow, Store

from .admission import given, lives
from .pace import Pace
from .register import MOST_OF_ONE, Register
from .revocations import Revocations
from .terms import Terms, ask_first, question, terms

logger = structlog.get_logger("tidegate")

REQUESTED, GIVEN, ACTIVE, DENIED, EXPIRED_GRANT, REVOKED = (
    "requested",
    "approved",
    "active",
    "denied",
    "expired",
    "revoked",
)
"""States of a grant: people are asked; approved and not used yet; used; said no; over on time; ended before."""

SECOND = 1_000_000

BURST, RATE = 60, 20
"""Requests of one chain's last hop at once, and a minute."""


class Grants:
    """In the process that has the gateway's own log and the register. Event loop only."""

    def __init__(
        self,
        log: Log,
        store: Store,
        directory: Directory,
        engine: Engine,
        register: Register,
        clock: Clock,
        *,
        revocations: Revocations,
        resources: Mapping[str, Resource],
    ) -> None:
        self._log = log
        self._store = store
        self._directory = directory
        self._engine = engine
        self._register = register
        self._clock = clock
        self._revocations = revocations
        self._resources = resources
        self._pace = Pace(clock, burst=BURST, rate=RATE)
        self._one_at_a_time = asyncio.Lock()
        self._asked: dict[str, str] = {}
        self._settling: set[asyncio.Task[None]] = set()
        register.listen(self._told)

    # asking

    async def request(self, identity: Identity, resource: str, seconds: int, reason: str, *, by: str) -> GrantRow:
        """Ask for a grant; asked again in the same words while it is open, it is the same one. ``by`` is who calls.

        Raises Refused with the rule, ``approval.many``, AgentError ``request.slowed``, LogFailure.
        """
        self._slowly(identity)
        try:
            asked = terms(self._engine, identity, self._resources.get(resource), resource, seconds, reason)
        except Refused as error:
            self._refused(identity, error, by)
            raise
        async with self._one_at_a_time:
            if asked.decision.effect is Effect.ALLOW:
                return await self._approved_by_policy(asked, by)
            held = await self._register.ask(question(asked))
            known = self._asked.get(held.id)
            row = await asyncio.to_thread(self._store.grant, known) if known else None
            row = row or await self._begin(asked, by, REQUESTED, held.expires, {"ap": held.id}, held.id)
            self._asked[held.id] = row.id
        if held.state != WAITING:
            await self._answered(held)
        return await self._read(row)

    def _slowly(self, identity: Identity) -> None:
        """Each request is a leaf, and a question to people: nobody fills the log or the inbox with them."""
        try:
            self._pace.take(identity.actor.subject)
        except AgentError:
            raise AgentError(
                "access is asked for too often", hint=f"{RATE} a minute are enough.", code="request.slowed"
            ) from None

    async def withdraw(self, row: GrantRow, by: str) -> None:
        """Take a request back that people have not answered yet. Raises Refused ``grant.decided``."""
        if row.state != REQUESTED:
            raise Refused(
                f"the request is {row.state}", hint=f"To end it: tidegate token revoke {row.id}", code="grant.decided"
            )
        self._asked.pop(row.approval, None)
        self._register.withdraw(row.approval, "")
        await self._denied(row, WITHDRAWN, by)

    def _refused(self, identity: Identity, error: Refused, by: str) -> None:
        chain: list[Json] = [hop.subject for hop in identity.chain]
        fields: dict[str, Json] = {"sub": identity.person.subject, "act": chain, "by": by, "rule": error.rule}
        self._log.append("grant.denied", {**fields, "how": "policy"}, private={"who": identity.title.encode()})

    async def _approved_by_policy(self, asked: Terms, by: str) -> GrantRow:
        usable = await self._usable(asked.identity, asked.resource)
        for row in usable:
            if row.state == GIVEN and (row.seconds, row.reason) == (asked.seconds, asked.reason):
                return row
        if sum(row.state == GIVEN for row in usable) >= MOST_OF_ONE:
            raise Refused("there are too many grants for this already", hint="Use one of them.", code="approval.many")
        return await self._begin(asked, by, GIVEN, self._clock.now() + asked.seconds * SECOND, {"how": "policy"}, "")

    async def _begin(
        self, asked: Terms, by: str, state: str, expires: int, more: Mapping[str, Json], approval: str
    ) -> GrantRow:
        id = self._clock.name("g")
        fields = {"gid": id, **asked.fields, "secs": asked.seconds, "by": by, **more}
        leaf = self._log.append("grant.requested", fields, private=asked.sealed)
        await self._log.sync()
        row = GrantRow(
            id, asked.chain, asked.resource, expires, asked.rules, asked.reason, state, leaf,
            approval=approval, seconds=asked.seconds,
        )  # fmt: skip
        await asyncio.to_thread(self._store.put_grant, row)
        return row

    async def wait(self, row: GrantRow, patience: float) -> GrantRow:
        """The request once it is answered, or as it stands after ``patience`` seconds."""
        with contextlib.suppress(Refused):  # the register forgets what is long over
            held = await self._register.wait(row.approval, patience)
            if held.state != WAITING:
                await self._answered(held)
        return await self._read(row)

    # the answer of people

    def _told(self, held: Held, _: int) -> None:
        if held.question.matter == GRANT and held.state != WAITING and held.id in self._asked:
            task = asyncio.get_running_loop().create_task(self._settle(held))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, held: Held) -> None:
        try:
            await self._answered(held)
        except TidegateError as error:
            logger.error("grant.unsettled", code=error.code, approval=held.id)
        except Exception as error:
            surprise("grant.surprise", error)

    async def _answered(self, held: Held) -> None:
        async with self._one_at_a_time:
            row = await asyncio.to_thread(self._store.grant, self._asked.get(held.id, ""))
            if row is None or row.state != REQUESTED:
                return
            if held.state == APPROVED:
                await self._approved(row, held)
            else:
                await self._denied(row, held.state, "")
            self._asked.pop(held.id, None)

    async def _approved(self, row: GrantRow, held: Held) -> None:
        """The yes is used up, and the clock starts; it is void once policy or the chain is another one."""
        if not await self._stands(row, held):
            self._register.void(held.id, "the policy or the chain changed while it waited")
            await self._denied(row, "voided", "")
            return
        await self._register.use(held.id, held.question.digest, "")
        began = max((answer.moment for answer in held.yes), default=self._clock.now())
        approved = replace(row, state=GIVEN, expires=began + row.seconds * SECOND)
        await asyncio.to_thread(self._store.put_grant, approved)

    async def _stands(self, row: GrantRow, held: Held) -> bool:
        question = held.question
        proofs = [hop.proof for hop in question.requester.chain]
        try:
            identity = await asyncio.to_thread(self._directory.resolve, row.subjects, proofs)
        except TidegateError:
            return False
        decision = self._engine.ability(identity, self._resources[row.resource], "connect")
        return (question.bundle, True) == (self._engine.bundle.sha256, decision.effect is not Effect.REFUSE)

    async def _denied(self, row: GrantRow, how: str, by: str) -> None:
        fields: dict[str, Json] = {"gid": row.id, "ap": row.approval, "how": how}
        leaf = self._log.append("grant.denied", {**fields, **({"by": by} if by else {})})
        await self._log.sync()
        await asyncio.to_thread(self._store.put_grant, replace(row, state=DENIED, leaf=leaf))

    # use

    async def live(self, identity: Identity, resource: str, wanted: str = "") -> GrantRow | None:
        """The grant that exactly this chain asked for and was given: ``wanted``, or the longest, emergencies first."""
        rows = [row for row in await self._usable(identity, resource) if row.seconds and wanted in ("", row.id)]
        return max(rows, key=lambda each: (each.kind == BREAKGLASS, each.expires), default=None)

    async def take(self, identity: Identity, resource: str, wanted: str = "") -> GrantRow | None:
        """The same, active from now on."""
        async with self._one_at_a_time:
            row = await self.live(identity, resource, wanted)
            return row if row is None or row.state == ACTIVE else await self.activate(row, identity)

    async def for_token(
        self, by: str, identity: Identity, resource: str, ttl: int, reason: str, wanted: str = ""
    ) -> Grant:
        """The grant for a token: ``wanted``, or another that was asked for where policy gives none by itself.

        Else a new one, for this reason and as long as the token. An earlier one may end before ``ttl`` seconds have
        passed: then so does the token. Raises Refused.
        """
        row = await self.take(identity, resource, wanted) if resource in self._resources else None
        if wanted and row is None:
            raise Refused("there is no such grant, or none any more", hint=ask_first(resource), code="grant.missing")
        if row is not None and self._covers(row, identity, wanted):
            return given(row)
        asked = self._given_by_policy(identity, resource, ttl, reason)
        expires = (self._clock.now() // SECOND + ttl) * SECOND
        fresh = GrantRow(self._clock.name("g"), asked.chain, resource, expires, asked.rules, reason, GIVEN, -1)
        return given(await self.activate(fresh, identity, by))

    async def check(self, identity: Identity, resource: str, ttl: int, reason: str) -> None:
        """Raises Refused if ``for_token`` would; nothing is used yet."""
        asked_for = resource in self._resources and await self._usable(identity, resource)
        if not asked_for or not any(row.seconds for row in asked_for):
            self._given_by_policy(identity, resource, ttl, reason)

    def _given_by_policy(self, identity: Identity, resource: str, ttl: int, reason: str) -> Terms:
        asked = terms(self._engine, identity, self._resources.get(resource), resource, ttl, reason)
        if asked.decision.effect is not Effect.ALLOW:
            agent = identity.actor.name if len(identity.chain) > 1 else ""
            raise Refused(
                f"somebody must approve that {identity.title} connects to {resource}",
                rule=asked.rules,
                hint=ask_first(resource, agent),
                code="grant.needed",
            )
        return asked

    def _covers(self, row: GrantRow, identity: Identity, wanted: str) -> bool:
        """Whether a grant that was asked for is to be used: it was named, or policy gives no other by itself."""
        effect = self._engine.ability(identity, self._resources[row.resource], "connect").effect
        return effect is not Effect.REFUSE and (effect is Effect.HOLD or bool(wanted) or row.kind == BREAKGLASS)

    async def activate(self, row: GrantRow, identity: Identity, by: str = "") -> GrantRow:
        """First use: the leaf that every session refers to, then the row."""
        fields: dict[str, Json] = {
            "gid": row.id,
            "sub": row.subjects[0],
            "act": list(row.subjects),
            "prf": [hop.proof for hop in identity.chain],
            "res": row.resource,
            "exp": row.expires,
            "rule": row.rule,
            "ph": self._engine.bundle.sha256,
            "by": by or identity.actor.subject,
            "kind": row.kind,
        }
        if row.approval:
            fields["ap"] = row.approval
        sealed = {"why": row.reason.encode(), "who": identity.title.encode()}
        leaf = self._log.append("grant.activated", fields, private=sealed)
        await self._log.sync()
        active = replace(row, state=ACTIVE, leaf=leaf)
        await asyncio.to_thread(self._store.put_grant, active)
        return active

    async def _usable(self, identity: Identity, resource: str) -> list[GrantRow]:
        chain, states = [hop.subject for hop in identity.chain], (GIVEN, ACTIVE)
        rows = await asyncio.to_thread(self._store.live_grants, chain, resource, self._clock.now(), states)
        return [row for row in rows if lives(row, identity, self._revocations)]

    async def _read(self, row: GrantRow) -> GrantRow:
        return await asyncio.to_thread(self._store.grant, row.id) or row

    # time

    async def run(self) -> None:
        """Go on with what an earlier start left open; then, once a second, say which grants are over on time."""
        await self._resume()
        while True:
            with contextlib.suppress(LogFailure):
                await self._sweep()
            await asyncio.sleep(1)

    async def _resume(self) -> None:
        for row in await asyncio.to_thread(self._store.grants_in, (REQUESTED,)):
            held = await self._register.find(row.approval)
            if held is None:
                await self._denied(row, "voided", "")
                continue
            self._asked[held.id] = row.id
            if held.state != WAITING:
                await self._settle(held)

    async def _sweep(self) -> None:
        async with self._one_at_a_time:
            for row in await asyncio.to_thread(self._store.grants_in, (GIVEN, ACTIVE), self._clock.now()):
                leaf = self._log.append("grant.expired", {"gid": row.id})
                await asyncio.to_thread(self._store.put_grant, replace(row, state=EXPIRED_GRANT, leaf=leaf))
