"""Who gets in: logins, people and agents, tokens and the grants they need, and their end.

A person mints only for themselves and their own agents unless policy lets them mint for others, and the whole chain
needs the right to connect. The fact is in the log and durable first, then the row is written, then the token leaves.
A login token (audience ``tidegate``) never opens a resource, and a resource token (audience ``resource:NAME``) never
calls the API. Leaves name subjects; names and reasons are sealed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import structlog

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import AgentError, Refused
from tidegate.identity.directory import Directory, invalid, unknown
from tidegate.identity.issuer import Claims, Issuer, ours
from tidegate.identity.passwords import demand
from tidegate.identity.throttle import Throttle
from tidegate.identity.workloads import TOKEN_ID
from tidegate.model.event import Json
from tidegate.model.identity import MINTED_BY, Grant, Hop, Identity, Kind
from tidegate.model.proof import Proof, action
from tidegate.model.resource import Address, Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.store.rows import GrantRow, Store, TokenRow

from .admission import of_claims
from .enrolment import Enrolment
from .grants import Grants
from .revocations import Revocations, row
from .sessions import LiveSessions

GATEWAY = Resource("tidegate", "", Address("", 0))
"""The gateway itself as a resource: abilities such as mint, observe and operate are asked on it."""

LOGIN, BROWSER = "tidegate", "tidegate-browser"
"""Audiences of logins: of a terminal, and of a browser, whose token never leaves the gateway."""

LOGIN_TTL = 12 * 3600
TOKEN_LIFE = 3600
CODE_TTL = 24 * 3600
"""Seconds: the life of a login, the longest of a resource's token, the time to use a one-time code."""

T = TypeVar("T")
logger = structlog.get_logger("tidegate")

Prove: TypeAlias = Callable[[bytes], Awaitable[Proof]]
"""Gives a person's proof of exactly this action (``model.proof.action``). Raises AgentError ``stepup.*``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API, the login token's claims, and the address that the call comes from."""

    identity: Identity
    claims: Claims
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Minted:
    """A fresh token, kept nowhere else, or a certificate instead; ``grant`` is None for a login."""

    token: str = field(repr=False)
    claims: Claims
    identity: Identity
    grant: Grant | None = None
    certificate: str = ""


class Access:
    """Event loop only; what blocks runs in threads. ``life`` are the seconds that a resource's token lives at most."""

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
        sessions: LiveSessions,
        failures: Callable[[str, str], None],
        grants: Grants,
        presents: Callable[[str, str], Awaitable[Identity]],
        enrolment: Enrolment,
        throttle: Throttle,
        life: int = TOKEN_LIFE,
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
        self._grants = grants
        self._presents = presents
        self._enrolment = enrolment
        self._throttle = throttle
        self._life = life
        self._adding = asyncio.Lock()

    def bootstrap_code(self) -> str | None:
        """A one-time code for the first administrator; None once there is anybody. Blocks for a moment, at start.

        Who empties the store does not become the first again: the log counts.
        """
        if not self._revocations.anybody:
            return self._directory.bootstrap_code(ttl=CODE_TTL)
        if not self._directory.entries():
            logger.error("store.emptied", hint="The log knows people and the store has none: restore it from a backup.")
        return None

    async def bootstrap(self, code: str, name: str, password: str, peer: str = "") -> Minted:
        """The first administrator comes in with the bootstrap code, and a password from now on.

        Raises AgentError ``code.invalid``, ``password.weak``, and Refused.
        """
        demand(password, name)
        async with self._adding:
            # Before the name is looked at: whether it is taken is told to nobody without a code.
            await self._counted(lambda: self._first(code), peer)
            who = await asyncio.to_thread(self._directory.person, name, ["admins"])
            await self._counted(lambda: self._directory.bootstrap(code), peer)
            await self._enrolment.start_over(who, password)  # first, so that nobody is left who cannot log in
            await self._add(who, by=who.subject)
        return await self.login(Identity((who,)), method="code", peer=peer)

    def _first(self, code: str) -> None:
        if self._revocations.anybody:
            raise invalid()
        self._directory.bootstrapping(code)

    async def enrol(self, code: str, password: str, peer: str = "", audience: str = LOGIN) -> Minted:
        """A person comes in with a one-time code; ``password`` takes the place of all they had to prove themselves.

        A password that is refused leaves the code as it was. Raises AgentError ``code.invalid``, ``password.weak``.
        """
        await self._counted(lambda: self._enrolment.unused(code), peer)
        who = await self._counted(lambda: self._directory.enrolling(code), peer)
        demand(password, who.person.name)
        who = await self._counted(lambda: self._directory.enrol(code), peer)
        await self._enrolment.start_over(who.person, password, code)
        return await self.login(who, method="code", audience=audience, peer=peer)

    async def login(
        self, who: Identity, *, method: str, audience: str = LOGIN, ttl: int = LOGIN_TTL, peer: str = ""
    ) -> Minted:
        """A login for somebody who has just proven who they are by ``method`` (``password``, ``oidc:NAME``, ...).

        ``ttl`` in seconds; ``audience`` is ``LOGIN`` or ``BROWSER``. Both leaves are durable before the token leaves,
        and the token says the method.
        """
        who = Identity((replace(who.person, proof=method),))
        token, claims = self._issuer.mint(who, audience=audience, ttl=ttl)
        subject = who.person.subject
        self._log.append("auth.ok", {"sub": subject, "jti": claims.id, "how": method}, private={"net": peer.encode()})
        await self._record(claims, {"by": subject})
        return Minted(token, claims, who)

    async def authenticate(self, token: str, peer: str = "", audience: str = LOGIN) -> Caller:
        """Who a login token stands for, with the groups of this moment. Raises AgentError; a failure is an event."""
        return replace(await self._counted(lambda: self.verified(token, audience), peer), peer=peer)

    def verified(self, token: str, audience: str = LOGIN) -> Caller:
        """As ``authenticate``, without counting failures. Blocks."""
        claims = self._issuer.verify(token, audience)
        row = self._store.token(claims.id)
        ended = any(id in self._revocations for id in (claims.id, *claims.chain))
        if row is None or row.revoked or ended or self._barred(claims, row):
            raise AgentError("the login has ended", hint="tidegate login again.", code="token.revoked")
        return Caller(self._directory.identity(claims), claims)

    async def asker(self, token: str, resource: str, peer: str = "") -> Identity:
        """Who asks for access: by a login, by a token for ``resource`` that is still good, or by a workload's own.

        Raises AgentError, ResourceError.
        """
        if not ours(token):
            try:
                return await self._presents(token, resource)
            except AgentError as error:
                self._failures(error.code, peer)
                raise
        return await self._counted(lambda: self._asking(token, resource), peer)

    def _asking(self, token: str, resource: str) -> Identity:
        try:
            return self.verified(token, LOGIN).identity
        except AgentError as error:
            if error.code != "token.audience":
                raise
        claims = self._issuer.verify(token, f"resource:{resource}")
        row, grant = self._store.token(claims.id), self._store.grant(claims.grant)
        ended = any(id in self._revocations for id in of_claims(claims))
        if (
            row is None
            or row.revoked
            or ended
            or grant is None
            or grant.state == "revoked"
            or self._barred(claims, row)
        ):
            raise AgentError("the token was revoked", hint="Ask for a new one.", code="token.revoked")
        return self._directory.identity(claims)

    def _barred(self, claims: Claims, row: TokenRow) -> bool:
        return self._revocations.barred(claims.chain, "", issued=claims.issued, leaf=row.leaf)

    async def _counted(self, check: Callable[[], T], peer: str) -> T:
        try:
            return await asyncio.to_thread(check)
        except AgentError as error:
            self._failures(error.code, peer)
            await self._throttle.rebuke(peer)
            raise

    async def add_person(self, by: Identity, name: str, groups: Sequence[str]) -> tuple[Hop, str]:
        """Add a person; gives the one-time code too. Needs the ability to operate. Raises Refused."""
        self._demand(by, "operate", "add people")
        async with self._adding:
            who = await asyncio.to_thread(self._directory.person, name, groups)
            await self._add(who, by=by.person.subject)
        return who, await asyncio.to_thread(self._directory.enrolment_code, who.subject, ttl=CODE_TTL)

    async def join(self, name: str, by: str) -> Hop:
        """Add a person for whom a provider vouches, without groups; a name that is taken gets a number.

        ``by`` is what the leaf says of who did it.
        """
        async with self._adding:
            who = await asyncio.to_thread(self._directory.newcomer, name)
            await self._add(who, by=by)
        return who

    async def fresh_code(self, by: Identity, name: str) -> tuple[Hop, str]:
        """Another one-time code for somebody whose login has ended. Needs the ability to operate. Raises Refused."""
        self._demand(by, "operate", "give out codes")
        who = (await self.chain(name)).person
        self._log.append("identity.bound", {"sub": who.subject, "by": by.person.subject, "code": True})
        await self._log.sync()
        return who, await asyncio.to_thread(self._directory.enrolment_code, who.subject, ttl=CODE_TTL)

    async def add_agent(
        self, by: Identity, name: str, owner: str, groups: Sequence[str], kind: Kind = Kind.AGENT
    ) -> Hop:
        """Add an agent or service, always of the group ``agents`` or ``services``.

        For others, or with more groups, it needs operate. Raises Refused, AgentError ``identity.*``.
        """
        if owner != by.person.name or groups:
            self._demand(by, "operate", "add agents for others or give them groups")
        person = (await self.chain(owner)).person
        make = self._directory.service if kind is Kind.SERVICE else self._directory.agent
        async with self._adding:
            who = await asyncio.to_thread(make, name, [f"{kind.value}s", *groups])
            await self._add(who, by=by.person.subject, owner=person.subject)
        return who

    async def disable(self, by: Identity, name: str, *kinds: Kind) -> Hop:
        """End somebody of these kinds: logins, tokens and open sessions of every chain that rests on them.

        One's own agents, or anybody but oneself with the ability to operate. It counts from the leaf on, as ``revoke``.
        Raises Refused.
        """
        found = await asyncio.to_thread(self._store.identity_named, name)
        if found is None or found.owner != by.person.subject:
            self._demand(by, "operate", "disable others")
        if found is None or found.kind not in kinds:
            raise Refused(f"there is no such {kinds[0].value}", hint="See: tidegate people ls", code="identity.unknown")
        who = found.hop
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
        """The chain of these names as it stands now. Raises AgentError ``identity.*``.

        Of somebody else's agent one hears what one hears of none.
        """
        return await asyncio.to_thread(self._chain, person, agent)

    def _chain(self, person: str, agent: str | None) -> Identity:
        first = self._directory.named(person).hop.subject
        if agent is None:
            return self._directory.resolve((first,))
        acting = self._directory.named(agent)
        if acting.owner != first:
            raise unknown()
        return self._directory.resolve((first, acting.hop.subject))

    async def _add(self, who: Hop, *, by: str, owner: str = "") -> None:
        fields: dict[str, Json] = {"sub": who.subject, "kind": who.kind.value, "groups": list(who.groups), "by": by}
        leaf = self._log.append("identity.bound", {**fields, "owner": owner}, private={"who": who.name.encode()})
        await self._log.sync()
        self._revocations.add(row(who.subject, leaf))
        await asyncio.to_thread(self._directory.add, who, leaf=leaf, owner=owner)

    async def mint(
        self,
        by: Identity,
        *,
        person: str,
        agent: str | None,
        resource: str,
        ttl: int,
        reason: str,
        key: str = "",
        grant: str = "",
        prove: Prove | None = None,
    ) -> Minted:
        """A token for ``resource`` with its grant; empty ``person`` is the caller, ``ttl`` in seconds.

        With ``key``, a public key (PEM), a certificate for it takes the token's place. What opens the resource as the
        person themselves, without an agent, needs a fresh proof of the caller, which ``prove`` gives. Raises Refused
        with the rule, AgentError ``identity.*``, ``request.key``, and what ``prove`` raises.
        """
        if person not in ("", by.person.name):
            self._demand(by, "mint", "mint for others")
        identity = await self.chain(person or by.person.name, agent)
        first = by.person
        if identity.person.subject != first.subject:
            # Whoever holds the token is the one who minted it, and answers nothing that it asks.
            first = replace(identity.person, proof=f"{MINTED_BY}{first.same or first.subject}")
        identity = Identity((first, *identity.chain[1:]))
        proof = None
        if len(identity.chain) == 1:
            await self._grants.check(identity, resource, ttl, reason)
            proof = await self._proof(by, identity, resource, prove)
        return await self.issue(
            identity, resource, ttl, by=by.person.subject, reason=reason, key=key, wanted=grant, proof=proof
        )  # fmt: skip

    async def issue(
        self,
        identity: Identity,
        resource: str,
        ttl: int,
        *,
        by: str,
        reason: str = "",
        key: str = "",
        wanted: str = "",
        via: Sequence[str] = (),
        proof: Proof | None = None,
    ) -> Minted:
        """A token and its grant for somebody who has been proven, as far as policy lets the whole chain connect.

        ``by`` is the subject of who asks, ``wanted`` the grant to use (``Grants.for_token``), ``via`` what the token
        ends with (``Claims.via``). A person alone needs a ``proof`` that they are there. Raises as ``mint``.
        """
        if len(identity.chain) == 1 and proof is None:
            raise AgentError("this needs a fresh proof that it is you", code="stepup.required")
        grant = await self._grants.for_token(by, identity, resource, ttl, reason, wanted)
        ttl = min(ttl, self._life, (grant.expires - self._clock.now()) // 1_000_000 + 1)
        token, claims = self._issuer.mint(identity, audience=f"resource:{resource}", ttl=ttl, grant=grant.id, via=via)
        certificate = self._issuer.certify(claims, key) if key else ""
        proofs: list[Json] = [hop.proof for hop in identity.chain]
        fields: dict[str, Json] = {"by": by, "gid": grant.id, "act": list(claims.chain), "prf": proofs}
        fields |= {"how": proof.method, "cred": proof.key} if proof is not None else {}
        await self._record(claims, fields | ({"via": list(via)} if via else {}))
        return Minted("" if key else token, claims, identity, grant, certificate)

    async def _proof(self, by: Identity, identity: Identity, resource: str, prove: Prove | None) -> Proof:
        """The caller's proof that they open a resource as themselves, or as the other person that they may mint for."""
        if prove is None:
            raise AgentError("this needs a fresh proof that it is you", code="stepup.required")
        whose = () if identity.person.subject == by.person.subject else (identity.person.subject,)
        return await prove(action("connect", resource, *whose))

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

        One's own, or any with the ability to operate; ``id`` is a token's or a grant's, or one that a workload's token
        has here (``identity.workloads.token_id``). Raises Refused. It counts from the leaf on: no new session from now,
        open ones are cut at once, before the disk has answered.
        """
        token, grant = await asyncio.to_thread(lambda: (self._store.token(id), self._store.grant(id)))
        owner = token.subject if token else grant.subjects[0] if grant else await self._carrier(id)
        if owner != by.person.subject:
            self._demand(by, "operate", "revoke what is not yours")
        if token is not None:
            return await self._end_token(by, token)
        if grant is not None:
            return await self._end_grant(by, grant)
        if TOKEN_ID.fullmatch(id):
            self._revoked("token.revoked", "jti", id, by)
            await self._sessions.end_of_token(id)
            await self._log.sync()
            return 1
        raise Refused("there is no such token or grant", hint="See: tidegate token ls", code="token.unknown")

    async def _carrier(self, token: str) -> str:
        """The person in whose open session a workload's token is; empty if there is none."""
        views = await self._sessions.live() if TOKEN_ID.fullmatch(token) else ()
        return next((view.identity.person.subject for view in views if view.token == token), "")

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

    def operates(self, by: Identity, what: str) -> None:
        """Raises Refused for who may not operate the gateway, which ``what`` needs."""
        self._demand(by, "operate", what)

    def _demand(self, by: Identity, ability: str, what: str) -> None:
        decision = self._engine.ability(by, GATEWAY, ability)
        if decision.effect is not Effect.ALLOW:
            raise Refused(
                f"you may not {what}",
                rule=", ".join(decision.rules),
                hint=f"It needs `may: [{ability}]` on the resource {GATEWAY.name}.",
                code="policy.refused",
            )
