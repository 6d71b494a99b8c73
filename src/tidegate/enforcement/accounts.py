"""Which person somebody is whom a provider knows: links, made by an administrator or on the way in.

A link says that a provider's subject is a person here. One by e-mail address is an invitation: the first subject that
comes with the address, verified, takes it, and it is used up, so that a mailbox which changes hands opens nothing. The
groups that a link gave are written beside it, so that the next login replaces just those; the provider's groups count
only as far as they are mapped.

Invariants: the leaf is durable first; an ended link stays ended whatever the store says, and so do the groups that
somebody had before; accounts are joined for good, since who could part them again could approve their own requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import Refused
from tidegate.identity.directory import Directory
from tidegate.model.event import Json
from tidegate.model.identity import External, Hop, Identity, Kind
from tidegate.settings_login import Joining
from tidegate.store.rows import IdentityRow, LinkRow, Store

from .revocations import BOUND, Revocations, row

SUBJECT, EMAIL = "subject", "email"
"""What a link's external name is."""

MOST = 16
"""Links of one person."""

Join = Callable[[str, str], Awaitable[Hop]]
"""Adds a person by a name, as somebody."""


class Accounts:
    """Event loop only. ``operates`` raises Refused for who may not operate the gateway.

    ``spread`` makes a word of ``Revocations`` known in every process.
    """

    def __init__(
        self,
        log: Log,
        store: Store,
        directory: Directory,
        clock: Clock,
        *,
        revocations: Revocations,
        spread: Callable[[str], Awaitable[None]],
        operates: Callable[[Identity, str], None],
        join: Join,
    ) -> None:
        self._log = log
        self._store = store
        self._directory = directory
        self._clock = clock
        self._revocations = revocations
        self._spread = spread
        self._operates = operates
        self._join = join
        self._turn = asyncio.Lock()

    async def person(self, who: External, joining: Joining) -> Identity:
        """The person who has just logged in at a provider, with the groups that it gives them from now on.

        Raises Refused ``login.stranger`` when nobody here is known by this name and nobody may join; AgentError
        ``identity.*``.
        """
        async with self._turn:
            link = await self._taken(who) or await self._joined(who, joining)
            chain = await asyncio.to_thread(self._directory.resolve, (link.subject,))
            await self._regroup(link, who, joining)
            return await asyncio.to_thread(self._directory.resolve, (chain.person.subject,))

    async def known(self, provider: str, subject: str) -> str:
        """The person that a provider's subject is here, by subject; empty when nobody is."""
        found = await self.link_of(provider, subject)
        return found.subject if found else ""

    async def link_of(self, provider: str, subject: str) -> LinkRow | None:
        """The link by which a provider's subject is somebody here; its ``leaf`` says who made it."""
        return await asyncio.to_thread(self._find, provider, subject, SUBJECT)

    async def of(self, name: str) -> Sequence[LinkRow]:
        """A person's links that are in force."""
        entry = await asyncio.to_thread(self._directory.named, name)
        return await asyncio.to_thread(self._links, entry.hop.subject)

    async def link(self, by: Identity, name: str, provider: str, *, subject: str = "", email: str = "") -> LinkRow:
        """Whoever logs in at ``provider`` as ``subject``, or first with this address, is ``name``. Raises Refused."""
        self._operates(by, "say who somebody is")
        external, kind = (email.lower(), EMAIL) if email else (subject, SUBJECT)
        async with self._turn:
            hop = await self._named(name)
            await asyncio.to_thread(self._free, hop, provider, external, kind)
            return await self._write(hop.subject, hop.name, provider, external, kind, by.person.subject)

    async def unlink(self, by: Identity, name: str, id: str) -> LinkRow:
        """End a link: who comes by it is nobody from now on, and the groups that it gave are gone. Raises Refused."""
        self._operates(by, "say who somebody is")
        async with self._turn:
            hop = await self._named(name)
            found = next((each for each in await asyncio.to_thread(self._links, hop.subject) if each.id == id), None)
            if found is None:
                raise Refused("there is no such link", hint="See: tidegate people links NAME", code="link.unknown")
            await self._give(found, (), by.person.subject)
            await self._end(found, by.person.subject)
            return found

    async def same(self, by: Identity, name: str, other: str) -> Hop:
        """``name`` and ``other`` are accounts of one person from now on, and so are all that were joined to either."""
        self._operates(by, "say who somebody is")
        async with self._turn:
            first, second = await self._named(name), await self._named(other)
            root = second.same or second.subject
            for account in await asyncio.to_thread(self._accounts, first.same or first.subject):
                if account.subject != root:
                    joined = replace(account, same=root)
                    told: dict[str, Json] = {"sub": joined.subject, "same": root, "by": by.person.subject}
                    self._log.append("identity.linked", told)
                    joined = replace(joined, leaf=self._bound(joined, by.person.subject))
                    await self._log.sync()
                    await asyncio.to_thread(self._put, joined)
                    await self._renewed(joined)
        return await self._named(name)

    async def _taken(self, who: External) -> LinkRow | None:
        """Their link; an invitation to their address becomes one."""
        found = await asyncio.to_thread(self._find, who.provider, who.subject, SUBJECT)
        if found is not None or not who.email:
            return found
        invited = await asyncio.to_thread(self._find, who.provider, who.email, EMAIL)
        if invited is None:
            return None
        by = f"idp:{who.provider}"
        name = (await asyncio.to_thread(self._directory.resolve, (invited.subject,))).person.name
        link = await self._write(invited.subject, name, who.provider, who.subject, SUBJECT, by)
        await self._end(invited, by)
        return link

    async def _joined(self, who: External, joining: Joining) -> LinkRow:
        if not joining.join:
            raise Refused(
                "nobody here is known by this login",
                hint=f"Ask for: tidegate people link NAME --provider {who.provider} --subject {who.subject}",
                code="login.stranger",
            )
        by = f"idp:{who.provider}"
        hop = await self._join(who.name, by)
        return await self._write(hop.subject, hop.name, who.provider, who.subject, SUBJECT, by)

    async def _regroup(self, link: LinkRow, who: External, joining: Joining) -> None:
        """The provider's groups of this login in place of those that it gave before."""
        given = {joining.groups[group] for group in who.groups if group in joining.groups}
        await self._give(link, sorted(given), f"idp:{who.provider}")

    async def _give(self, link: LinkRow, groups: Iterable[str], by: str) -> None:
        kept = await asyncio.to_thread(self._store.identity, link.subject)
        assert kept is not None
        self._directory.demand_current(kept)
        before = _groups(link)
        own = set(kept.groups) - set(before)
        given = sorted(set(groups) - own)
        changed = replace(kept, groups=tuple(sorted(own | set(given))))
        if changed.groups == kept.groups and given == before:
            return
        changed = replace(changed, leaf=self._bound(changed, by))
        await self._log.sync()
        told = replace(link, conditions=_conditions(kind_of(link), given))
        await asyncio.to_thread(self._store.put_linked, changed, told)
        await self._renewed(changed)

    async def _renewed(self, changed: IdentityRow) -> None:
        """What the store had of somebody before counts no more, in any process."""
        word = row(changed.subject, changed.leaf)
        self._revocations.add(word)
        await self._spread(word)

    def _bound(self, who: IdentityRow, by: str) -> int:
        fields: dict[str, Json] = {"sub": who.subject, "kind": who.kind.value, "groups": list(who.groups), "by": by}
        same: dict[str, Json] = {"same": who.same} if who.same else {}
        private = {"who": who.name.encode()}
        return self._log.append(BOUND, {**fields, "owner": who.owner, **same}, private=private)

    async def _write(self, subject: str, name: str, provider: str, external: str, kind: str, by: str) -> LinkRow:
        id, conditions = self._clock.name("li"), _conditions(kind, [])
        fields: dict[str, Json] = {"sub": subject, "link": id, "pv": provider, "by": by}
        private = {"who": name.encode(), "stmt": f"{kind}: {external}".encode()}
        leaf = self._log.append("identity.linked", fields, private=private)
        await self._log.sync()
        made = LinkRow(id, provider, external, subject, conditions, leaf)
        await asyncio.to_thread(self._store.put_link, made)
        return made

    async def _end(self, link: LinkRow, by: str) -> None:
        self._log.append("cred.revoked", {"cred": link.id, "sub": link.subject, "by": by})
        self._revocations.add(link.id)
        await self._log.sync()
        await asyncio.to_thread(self._store.drop_link, link.id)

    async def _named(self, name: str) -> Hop:
        entry = await asyncio.to_thread(self._directory.named, name)
        if entry.hop.kind is not Kind.USER or entry.disabled:
            raise Refused("there is no such person", hint="See: tidegate people ls", code="identity.unknown")
        self._directory.demand_current(entry)
        return entry.hop

    # what follows blocks

    def _find(self, provider: str, external: str, kind: str) -> LinkRow | None:
        links = self._store.links(provider=provider, externals=[external])
        found = [link for link in links if link.id not in self._revocations and kind_of(link) == kind]
        return found[0] if len(found) == 1 else None

    def _links(self, subject: str) -> list[LinkRow]:
        links = self._store.links(subject=subject)
        return [link for link in links if link.id not in self._revocations and kind_of(link) in (SUBJECT, EMAIL)]

    def _free(self, hop: Hop, provider: str, external: str, kind: str) -> None:
        if self._find(provider, external, kind) is not None:
            raise Refused("somebody is linked to this already", hint="End that link first.", code="link.taken")
        if len(self._links(hop.subject)) >= MOST:
            raise Refused(f"a person has at most {MOST} links", hint="End one.", code="link.full")

    def _accounts(self, root: str) -> list[IdentityRow]:
        found = [each for each in self._store.identities() if root in (each.subject, each.same)]
        for each in found:
            self._directory.demand_current(each)
        return found

    def _put(self, who: IdentityRow) -> None:
        self._store.put_identity(who.hop, owner=who.owner, disabled=who.disabled, leaf=who.leaf)


def restore(store: Store, leaves: Iterable[Mapping[str, Json]]) -> list[str]:
    """Give the store what the log says of people's groups and accounts where it has an older state; gives whose.

    At a start: after a crash between leaf and row, or after somebody put an old row back. Blocks.
    """
    newest = {str(leaf["sub"]): leaf for leaf in leaves if leaf.get("k") == BOUND and "groups" in leaf}
    found = []
    for kept in store.identities():
        leaf = newest.get(kept.subject)
        if leaf is not None and kept.leaf < int(str(leaf["i"])):
            groups = leaf["groups"]
            assert isinstance(groups, list)
            hop = replace(kept.hop, groups=tuple(map(str, groups)), same=str(leaf.get("same") or kept.subject))
            store.put_identity(hop, owner=kept.owner, disabled=kept.disabled, leaf=int(str(leaf["i"])))
            found.append(kept.subject)
    return found


def _conditions(kind: str, groups: Sequence[str]) -> str:
    return orjson.dumps({"by": kind, "groups": groups}, option=orjson.OPT_SORT_KEYS).decode()


def kind_of(link: LinkRow) -> str:
    """``SUBJECT`` or ``EMAIL``; something else for links that are not to people's logins."""
    return str(orjson.loads(link.conditions).get("by", ""))


def _groups(link: LinkRow) -> list[str]:
    return [str(name) for name in orjson.loads(link.conditions).get("groups", [])]
