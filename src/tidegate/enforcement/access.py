"""Who gets in: logins, people and agents, tokens and the grants they need, and their end.

A person mints only for themselves and their own agents unless policy lets them mint for others, and the whole chain
needs the right to connect. The fact is in the log and durable first, then the row is written, then the token leaves.
A login token (audience ``tidegate``) never opens a resource, and a resource token (audience ``resource:NAME``) never
calls the API. Leaves name subjects; names and reasons are sealed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory
from tidegate.identity.issuer import Claims, Issuer
from tidegate.model.event import Json
from tidegate.model.identity import Grant, Hop, Identity, Kind
from tidegate.model.resource import Address, Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.store.rows import GrantRow, Store, TokenRow

from .revocations import LONGEST_GRANT, Revocations
from .sessions import Sessions

GATEWAY = Resource("tidegate", "", Address("", 0))
"""The gateway itself as a resource: abilities such as mint, observe and operate are asked on it."""

LOGIN = "tidegate"
"""Audience of login tokens."""

LOGIN_TTL = 30 * 24 * 3600
SHORTEST = 10
CODE_TTL = 24 * 3600
"""Seconds: the life of a login, the shortest of a resource token, the time to use a one-time code."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API, and the login token's claims."""

    identity: Identity
    claims: Claims


@dataclass(frozen=True, slots=True)
class Minted:
    """A fresh token, kept nowhere else; ``grant`` is None for a login."""

    token: str = field(repr=False)
    claims: Claims
    identity: Identity
    grant: Grant | None = None


class Access:
    """Event loop only; what blocks runs in threads."""

    def __init__(
        self,
        log: Log,
        store: Store,
        issuer: Issuer,
        directory: Directory,
        engine: Engine,
        clock: Clock,
        *,
        revocations: Revocations,
        sessions: Sessions,
        failures: Callable[[str, str], None],
        resources: Mapping[str, Resource],
    ) -> None:
        self._log = log
        self._store = store
        self._issuer = issuer
        self._directory = directory
        self._engine = engine
        self._clock = clock
        self._revocations = revocations
        self._sessions = sessions
        self._failures = failures
        self._resources = resources
        self._adding = asyncio.Lock()

    def bootstrap_code(self) -> str | None:
        """A one-time code for the first administrator; None once there is anybody. Blocks for a moment, at start."""
        return self._directory.bootstrap_code(ttl=CODE_TTL)

    async def bootstrap(self, code: str, name: str, peer: str = "") -> Minted:
        """The first administrator comes in with the bootstrap code. Raises AgentError, Refused."""
        async with self._adding:
            who = await asyncio.to_thread(self._directory.person, name, ["admins"])
            await self._counted(lambda: self._directory.bootstrap(code), peer)
            await self._add(who, by=who.subject)
        return await self._login(Identity((who,)))

    async def enrol(self, code: str, peer: str = "") -> Minted:
        """A person comes in with a one-time code. Raises AgentError."""
        return await self._login(await self._counted(lambda: self._directory.enrol(code), peer))

    async def authenticate(self, token: str, peer: str = "") -> Caller:
        """Who a login token stands for, with the groups of this moment. Raises AgentError; a failure is an event."""
        return await self._counted(lambda: self._verified(token), peer)

    async def _login(self, identity: Identity) -> Minted:
        token, claims = self._issuer.mint(identity, audience=LOGIN, ttl=LOGIN_TTL)
        subject = identity.person.subject
        self._log.append("cred.enrolled", {"sub": subject, "jti": claims.id})
        await self._record(claims, {"by": subject})
        return Minted(token, claims, identity)

    def _verified(self, token: str) -> Caller:
        claims = self._issuer.verify(token, LOGIN)
        row = self._store.token(claims.id)
        ended = any(id in self._revocations for id in (claims.id, *claims.chain))
        if row is None or row.revoked or ended:
            raise AgentError("the login has ended", hint="tidegate login again.", code="token.revoked")
        return Caller(self._directory.identity(claims), claims)

    async def _counted(self, check: Callable[[], T], peer: str) -> T:
        try:
            return await asyncio.to_thread(check)
        except AgentError as error:
            self._failures(error.code, peer)
            raise

    async def add_person(self, by: Identity, name: str, groups: Sequence[str]) -> tuple[Hop, str]:
        """Add a person; gives the one-time code too. Needs the ability to operate. Raises Refused."""
        self._demand(by, "operate", "add people")
        async with self._adding:
            who = await asyncio.to_thread(self._directory.person, name, groups)
            await self._add(who, by=by.person.subject)
        return who, await asyncio.to_thread(self._directory.enrolment_code, who.subject, ttl=CODE_TTL)

    async def fresh_code(self, by: Identity, name: str) -> tuple[Hop, str]:
        """Another one-time code for somebody whose login has ended. Needs the ability to operate. Raises Refused."""
        self._demand(by, "operate", "give out codes")
        who = (await self.chain(name)).person
        self._log.append("identity.bound", {"sub": who.subject, "by": by.person.subject, "code": True})
        await self._log.sync()
        return who, await asyncio.to_thread(self._directory.enrolment_code, who.subject, ttl=CODE_TTL)

    async def add_agent(self, by: Identity, name: str, owner: str, groups: Sequence[str]) -> Hop:
        """Add an agent, always of the group ``agents``; for others, or with more groups, it needs operate."""
        person = (await self.chain(owner)).person
        if person.subject != by.person.subject or groups:
            self._demand(by, "operate", "add agents for others or give them groups")
        async with self._adding:
            who = await asyncio.to_thread(self._directory.agent, name, ["agents", *groups])
            await self._add(who, by=by.person.subject, owner=person.subject)
        return who

    async def disable(self, by: Identity, name: str, kind: Kind) -> Hop:
        """End a person or an agent: logins, tokens and open sessions of every chain they are in. Raises Refused.

        One's own agents, or anybody but oneself with the ability to operate. It counts from the leaf on, as ``revoke``.
        """
        found = await asyncio.to_thread(self._directory.named, name)
        who = found.hop
        if who.kind is not kind:
            raise Refused(f"there is no such {kind.value}", hint="See: tidegate people ls", code="identity.unknown")
        if found.owner != by.person.subject:
            self._demand(by, "operate", "disable others")
        if who.subject == by.person.subject:
            raise Refused("nobody disables themselves", hint="Ask another administrator.", code="identity.self")
        if not found.disabled:
            leaf = self._log.append("identity.disabled", {"sub": who.subject, "by": by.person.subject})
            self._revocations.add(who.subject)
            await self._sessions.end_of_subject(who.subject)
            await self._log.sync()
            await asyncio.to_thread(self._directory.disable, who.subject, leaf=leaf)
        return who

    async def chain(self, person: str, agent: str | None = None) -> Identity:
        """The chain of these names as it stands now. Raises AgentError ``identity.*``."""
        names = [person] if agent is None else [person, agent]
        return await asyncio.to_thread(
            lambda: self._directory.resolve([self._directory.named(name).hop.subject for name in names])
        )

    async def _add(self, who: Hop, *, by: str, owner: str = "") -> None:
        fields: dict[str, Json] = {"sub": who.subject, "kind": who.kind.value, "groups": list(who.groups), "by": by}
        leaf = self._log.append("identity.bound", {**fields, "owner": owner}, private={"who": who.name.encode()})
        await self._log.sync()
        await asyncio.to_thread(self._directory.add, who, leaf=leaf, owner=owner)

    async def mint(
        self, by: Identity, *, person: str, agent: str | None, resource: str, ttl: int, reason: str
    ) -> Minted:
        """A token for ``resource`` with its grant; empty ``person`` is the caller, ``ttl`` in seconds.

        Raises Refused with the rule, AgentError ``identity.*``.
        """
        identity = await self.chain(person or by.person.name, agent)
        if identity.person.subject != by.person.subject:
            self._demand(by, "mint", "mint for others")
        rules = self._may_connect(identity, resource, ttl)
        grant_id = self._clock.name("g")
        token, claims = self._issuer.mint(identity, audience=f"resource:{resource}", ttl=ttl, grant=grant_id)
        grant = await self._activate(by, identity, resource, claims, ", ".join(rules), reason)
        await self._record(claims, {"by": by.person.subject, "gid": grant.id, "act": list(claims.chain)})
        return Minted(token, claims, identity, grant)

    def _may_connect(self, identity: Identity, resource: str, ttl: int) -> tuple[str, ...]:
        """The rules that let the whole chain connect for so long. Raises Refused."""
        target = self._resources.get(resource)
        if target is None:
            raise Refused("there is no such resource", hint="Names are in tidegate.yaml.", code="resource.unknown")
        decision = self._engine.ability(identity, target, "connect")
        if decision.effect is not Effect.ALLOW:
            raise Refused(
                f"{identity.title} may not connect to {resource}",
                rule=", ".join(decision.rules),
                hint=decision.hint or "Everybody in the chain needs a rule with `may: [connect]`.",
                code="policy.refused",
            )
        longest = min(self._engine.longest(identity, target, "connect"), LONGEST_GRANT // 1_000_000)
        if not SHORTEST <= ttl <= longest:
            raise Refused(
                f"a token for {resource} lives {SHORTEST} to {longest} seconds, not {ttl}",
                rule=", ".join(decision.rules),
                hint=f"--ttl {longest}s at most.",
                code="grant.ttl",
            )
        return decision.rules

    async def _activate(
        self, by: Identity, identity: Identity, resource: str, claims: Claims, rule: str, reason: str
    ) -> Grant:
        """The grant: durable in the log, then in the store."""
        expires = claims.expires * 1_000_000
        leaf = self._log.append(
            "grant.activated",
            {
                "gid": claims.grant,
                "sub": identity.person.subject,
                "act": list(claims.chain),
                "res": resource,
                "exp": expires,
                "rule": rule,
                "ph": self._engine.bundle.sha256,
                "by": by.person.subject,
            },
            private={"why": reason.encode(), "who": identity.title.encode()},
        )
        await self._log.sync()
        row = GrantRow(claims.grant, claims.chain, resource, expires, rule, reason, "active", leaf)
        await asyncio.to_thread(self._store.put_grant, row)
        return Grant(row.id, row.subjects, resource, expires, rule, reason, leaf)

    async def _record(self, claims: Claims, fields: Mapping[str, Json]) -> None:
        """The token's issue: durable in the log, then in the store."""
        expires = claims.expires * 1_000_000
        about: dict[str, Json] = {"jti": claims.id, "sub": claims.chain[0], "aud": claims.audience, "exp": expires}
        leaf = self._log.append("token.issued", {**about, **fields})
        await self._log.sync()
        row = TokenRow(claims.id, claims.grant, claims.chain[0], claims.audience, expires, False, leaf)
        await asyncio.to_thread(self._store.put_token, row)

    async def revoke(self, by: Identity, id: str) -> int:
        """End a token, or a grant with its tokens, and their sessions; gives the number of tokens.

        One's own, or any with the ability to operate; ``id`` is a token's or a grant's. Raises Refused. It counts from
        the leaf on: no new session from now, open ones are cut at once, before the disk has answered.
        """
        token, grant = await asyncio.to_thread(lambda: (self._store.token(id), self._store.grant(id)))
        owner = token.subject if token else grant.subjects[0] if grant else ""
        if owner != by.person.subject:
            self._demand(by, "operate", "revoke what is not yours")
        if token is not None:
            return await self._end_token(by, token)
        if grant is not None:
            return await self._end_grant(by, grant)
        raise Refused("there is no such token or grant", hint="See: tidegate token ls", code="token.unknown")

    async def _end_token(self, by: Identity, row: TokenRow) -> int:
        leaf = self._revoked("token.revoked", "jti", row.jti, by)
        await self._sessions.end_of_token(row.jti)
        await self._log.sync()
        await asyncio.to_thread(self._store.revoke_token, row.jti, leaf)
        return 1

    async def _end_grant(self, by: Identity, grant: GrantRow) -> int:
        ended = self._revoked("grant.revoked", "gid", grant.id, by)
        await self._sessions.end_of_grant(grant.id)
        issued = await asyncio.to_thread(self._store.tokens, grant.subjects[0])
        carried = [row.jti for row in issued if row.grant == grant.id and not row.revoked]
        leaves = {jti: self._revoked("token.revoked", "jti", jti, by) for jti in carried}
        await self._log.sync()
        await asyncio.to_thread(self._store.put_grant, replace(grant, state="revoked", leaf=ended))
        for jti, leaf in leaves.items():
            await asyncio.to_thread(self._store.revoke_token, jti, leaf)
        return len(carried)

    def _revoked(self, kind: str, name: str, id: str, by: Identity) -> int:
        """The leaf that ends something; nothing opens with it from here on."""
        leaf = self._log.append(kind, {name: id, "by": by.person.subject})
        self._revocations.add(id)
        return leaf

    def _demand(self, by: Identity, ability: str, what: str) -> None:
        decision = self._engine.ability(by, GATEWAY, ability)
        if decision.effect is not Effect.ALLOW:
            raise Refused(
                f"you may not {what}",
                rule=", ".join(decision.rules),
                hint=f"It needs `may: [{ability}]` on the resource {GATEWAY.name}.",
                code="policy.refused",
            )
