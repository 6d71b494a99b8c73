"""The kill switch: what one session, identity or resource may do, or everybody, ends now.

In this order: the order is a leaf; nothing given before it opens anything, in any process; sessions are cut, what they
have under way upstream is cancelled, what was asked of people is withdrawn; the order is durable; then each token and
grant that it took is a leaf of its own, for lists and auditors. A crash between any two steps leaves shut what the leaf
says. What is given afterwards is valid: who must not come back is disabled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import Refused
from tidegate.identity.directory import Directory
from tidegate.model.approval import Question
from tidegate.model.event import Json
from tidegate.model.identity import Identity, Kind
from tidegate.model.resource import Resource
from tidegate.store.rows import GrantRow, Store, TokenRow

from .revocations import ALL, RESOURCE, SUBJECT, Bar, Revocations
from .sessions import LiveSessions, Order

SESSION, IDENTITY, AGENT = "session", "identity", "agent"
GRANT = "grant"
_LIVE = ("approved", "active")

Halt = Callable[[Order], Awaitable[int]]
"""Carry an order out in every process; gives the number of sessions that it ended."""

Withdraw = Callable[[Callable[[Question], bool]], int]
"""Take back the open questions of a kind; gives their number."""


@dataclass(frozen=True, slots=True)
class Struck:
    """What an order ended."""

    sessions: int
    grants: int
    tokens: int


class KillSwitch:
    """Event loop only. ``told`` hears what was ordered, by whom and why; it neither blocks nor raises."""

    def __init__(
        self,
        log: Log,
        store: Store,
        directory: Directory,
        clock: Clock,
        *,
        revocations: Revocations,
        sessions: LiveSessions,
        halt: Halt,
        withdraw: Withdraw,
        resources: Mapping[str, Resource],
        told: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self._log = log
        self._store = store
        self._directory = directory
        self._clock = clock
        self._revocations = revocations
        self._sessions = sessions
        self._halt = halt
        self._withdraw = withdraw
        self._resources = resources
        self._told = told

    async def order(self, by: Identity, what: str, name: str, reason: str) -> Struck:
        """End what ``what`` and ``name`` say: a session by id, an identity or agent by name, a resource, or all.

        The caller has seen to it that ``by`` may. A session falls with its grant, and so does all that the grant
        carries. Raises Refused ``*.unknown``, AgentError, LogFailure.
        """
        of, id = await self._target(what, name)
        fields: dict[str, Json] = {"of": SESSION if of == GRANT else of, "by": by.person.subject}
        leaf = self._log.append(
            "kill.ordered", fields | ({"id": id} if id else {}), private={"why": reason.encode()} if reason else None
        )
        word = id if of == GRANT else Bar(of, id, leaf, self._clock.now()).word
        order = Order(of, id, word, by.person.subject, reason)
        self._revocations.add(word)
        ended = await self._halt(order)
        self._withdraw(_asks(order))
        await self._log.sync()
        self._told(f"{what} {name}".strip(), by.title, reason)
        grants, tokens = await self._revoke(order, leaf)
        return Struck(ended, grants, tokens)

    async def _target(self, what: str, name: str) -> tuple[str, str]:
        if what == SESSION:
            found = next((view for view in await self._sessions.live() if view.sid == name), None)
            if found is not None:
                return GRANT, found.grant
            raise Refused("no such session is open", hint="See: tidegate sessions ls", code="session.unknown")
        if what in (IDENTITY, AGENT):
            who = (await asyncio.to_thread(self._directory.named, name)).hop
            if what == AGENT and who.kind is not Kind.AGENT:
                raise Refused("there is no such agent", hint="See: tidegate agents ls", code="identity.unknown")
            return SUBJECT, who.subject
        if what == RESOURCE and name not in self._resources:
            raise Refused("there is no such resource", hint="Names are in tidegate.yaml.", code="resource.unknown")
        return what, name

    async def _revoke(self, order: Order, before: int) -> tuple[int, int]:
        """The rows that the order ended, each with a leaf of its own; gives their numbers."""
        grants, tokens = await asyncio.to_thread(self._ended, order, before)
        by: dict[str, Json] = {"by": order.by}
        over = [replace(row, state="revoked", leaf=self._leaf("grant.revoked", "gid", row.id, by)) for row in grants]
        dead = [replace(row, revoked=True, leaf=self._leaf("token.revoked", "jti", row.jti, by)) for row in tokens]
        self._log.flush()
        await self._log.sync()
        await asyncio.to_thread(self._store.put_ended, over, dead)
        return len(over), len(dead)

    def _leaf(self, kind: str, name: str, id: str, by: Mapping[str, Json]) -> int:
        leaf = self._log.stage(kind, {name: id, **by})
        self._revocations.add(id)
        return leaf

    def _ended(self, order: Order, before: int) -> tuple[list[GrantRow], list[TokenRow]]:
        """Grants and tokens that live and were given before the order. Blocks."""
        now, whose = self._clock.now(), self._resting_on(order)
        struck = {row.id: row for row in self._store.grants() if row.leaf < before and _takes(order, row, whose)}
        grants = [row for row in struck.values() if row.state in _LIVE and row.expires > now]
        tokens = [row for row in self._store.tokens() if row.leaf < before and not row.revoked and row.expires > now]
        return grants, [row for row in tokens if row.grant in struck or _login(order, row)]

    def _resting_on(self, order: Order) -> set[str]:
        """The subject of an order, and those that they answer for."""
        if order.of != SUBJECT:
            return set()
        return {order.id, *(row.subject for row in self._store.identities() if row.owner == order.id)}


def _login(order: Order, row: TokenRow) -> bool:
    return order.of == SUBJECT and not row.grant and row.subject == order.id


def _takes(order: Order, row: GrantRow, whose: set[str]) -> bool:
    match order.of:
        case "grant":
            return row.id == order.id
        case "subject":
            return not whose.isdisjoint(row.subjects)
        case "resource":
            return row.resource == order.id
        case _:
            return order.of == ALL


def _asks(order: Order) -> Callable[[Question], bool]:
    """Which questions an order takes back; those of a single session go with it."""

    def asks(question: Question) -> bool:
        match order.of:
            case "subject":
                return question.requester.rests_on(order.id)
            case "resource":
                return question.resource == order.id
            case _:
                return order.of == ALL

    return asks
