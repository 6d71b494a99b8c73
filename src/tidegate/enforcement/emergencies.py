"""Break-glass: a person gets in now, and everybody knows.

It is for a person alone, never for a chain with an agent in it, with a fresh proof over exactly this, where policy
gives the ability ``break-glass``. It lifts the wait for people and the refusals that policy marks for it; evidence,
masks and everything else stay. That the glass is broken is durable before anything opens, and an alarm. Within
``REVIEW`` another person, with no part in it, says what they found; until then it is told as overdue.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import LogFailure, Refused
from tidegate.identity.directory import Directory
from tidegate.model.event import Json
from tidegate.model.identity import BREAKGLASS, Identity, Kind
from tidegate.model.proof import Proof
from tidegate.model.resource import Resource
from tidegate.model.verdict import Effect
from tidegate.policy.engine import Engine
from tidegate.store.rows import GrantRow

from .grants import GIVEN, SECOND, Grants
from .terms import Terms, terms

LONGEST = 3600
REVIEW = 24 * 3600
"""Seconds that broken glass lasts at most; seconds within which somebody must have looked at it."""

BREAKING = frozenset({"breakglass.opened", "breakglass.reviewed", "alert.raised"})
"""The kinds of leaves that a start needs."""

Alarm = Callable[[str, str, Mapping[str, str]], None]
"""A code, a title and fields for people; it neither blocks nor raises."""


@dataclass(slots=True)
class Broken:
    """Glass that was broken: which grant, whose, where, when (Unix microseconds); ``reviewer`` is empty until then."""

    grant: str
    subject: str
    resource: str
    opened: int
    expires: int
    reviewer: str = ""
    overdue: bool = False


class Emergencies:
    """Event loop only; ``leaves`` are the gateway's own, from the oldest on."""

    def __init__(
        self,
        log: Log,
        directory: Directory,
        engine: Engine,
        clock: Clock,
        grants: Grants,
        *,
        resources: Mapping[str, Resource],
        alarm: Alarm,
        leaves: Iterable[Mapping[str, Json]],
    ) -> None:
        self._log = log
        self._directory = directory
        self._engine = engine
        self._clock = clock
        self._grants = grants
        self._resources = resources
        self._alarm = alarm
        self.broken = _history(leaves)

    def asked(self, by: Identity, resource: str, seconds: int, reason: str) -> Terms:
        """What ``by`` may open; before anybody is asked for a proof. Raises Refused."""
        if len(by.chain) != 1 or by.person.kind is not Kind.USER:
            raise Refused(
                "only a person breaks the glass, for themselves", rule="tidegate.breakglass", code="breakglass.person"
            )
        if not reason.strip():
            raise Refused("say why: others will ask", rule="tidegate.breakglass", code="breakglass.reason")
        target = self._resources.get(resource)
        found = terms(self._engine, by, target, resource, seconds, reason, verb="break-glass", most=LONGEST)
        assert target is not None
        connects = self._engine.ability(by, target, "connect")
        if found.decision.effect is not Effect.ALLOW or connects.effect is Effect.REFUSE:
            rules = connects.rules if connects.effect is Effect.REFUSE else found.decision.rules
            raise Refused(
                f"{by.title} may not break the glass of {resource}",
                rule=", ".join(rules),
                hint="It needs `may: [break-glass]` with `then: allow`, and no rule that refuses to connect.",
                code="policy.refused",
            )
        return found

    async def open(self, by: Identity, resource: str, seconds: int, reason: str, proof: Proof) -> GrantRow:
        """Break the glass: a grant of its own kind, active at once. Raises Refused, LogFailure."""
        found = self.asked(by, resource, seconds, reason)
        now = self._clock.now()
        id, expires = self._clock.name("g"), now + seconds * SECOND
        fields: dict[str, Json] = {"gid": id, **found.fields, "exp": expires, "how": proof.method, **_signed(proof)}
        self._log.append("breakglass.opened", fields, private=found.sealed)
        await self._log.sync()
        self.broken[id] = Broken(id, by.person.subject, resource, now, expires)
        self._alarm(
            "breakglass.opened",
            f"{by.title} broke the glass of {resource}",
            {"who": by.title, "resource": resource, "reason": reason, "id": id},
        )
        row = GrantRow(
            id, found.chain, resource, expires, found.rules, reason, GIVEN, -1, BREAKGLASS, seconds=seconds
        )  # fmt: skip
        return await self._grants.activate(row, by)

    async def review(self, by: Identity, id: str, finding: str) -> Broken:
        """Another person says what they found; the caller has seen to it that they may look. Raises Refused."""
        case = self.broken.get(id)
        if case is None:
            raise Refused(
                "no glass was broken under this id", hint="See: tidegate break-glass ls", code="grant.unknown"
            )
        who = await asyncio.to_thread(self._directory.resolve, [case.subject])
        if len(by.chain) != 1 or by.person.kind is not Kind.USER or by.involved & who.involved:
            raise Refused(
                "nobody reviews what they had a part in",
                rule="tidegate.breakglass",
                hint="Ask somebody else.",
                code="breakglass.self",
            )
        if case.reviewer:
            raise Refused("it was reviewed already", code="breakglass.decided")
        if not finding.strip():
            raise Refused("say what you found", rule="tidegate.breakglass", code="breakglass.reason")
        fields: dict[str, Json] = {"gid": id, "by": by.person.subject, "late": self._late(case)}
        self._log.append("breakglass.reviewed", fields, private={"why": finding.encode()})
        case.reviewer = by.person.subject
        await self._log.sync()
        return case

    async def run(self) -> None:
        """Tell, once each, what nobody has reviewed in time."""
        while True:
            for case in self.broken.values():
                if not case.reviewer and not case.overdue and self._late(case):
                    self._overdue(case)
            await asyncio.sleep(1)

    def _late(self, case: Broken) -> bool:
        return self._clock.now() > case.opened + REVIEW * SECOND

    def _overdue(self, case: Broken) -> None:
        try:
            self._log.append("alert.raised", {"code": "breakglass.unreviewed", "gid": case.grant, "sub": case.subject})
        except LogFailure:
            return
        case.overdue = True
        self._alarm(
            "breakglass.unreviewed",
            f"Broken glass of {case.resource} was not reviewed within 24 hours",
            {"resource": case.resource, "id": case.grant},
        )


def _history(leaves: Iterable[Mapping[str, Json]]) -> dict[str, Broken]:
    found: dict[str, Broken] = {}
    for leaf in leaves:
        kind, id = str(leaf.get("k")), str(leaf.get("gid"))
        if kind == "breakglass.opened":
            moments = int(str(leaf["t"])), int(str(leaf["exp"]))
            found[id] = Broken(id, str(leaf["sub"]), str(leaf["res"]), *moments)
        elif kind == "breakglass.reviewed" and id in found:
            found[id].reviewer = str(leaf["by"])
        elif kind == "alert.raised" and leaf.get("code") == "breakglass.unreviewed" and id in found:
            found[id].overdue = True
    return found


def _signed(proof: Proof) -> dict[str, Json]:
    if not proof.signature:
        return {"key": proof.key} if proof.key else {}
    encoded = {"sig": base64.b64encode(proof.signature).decode(), "sgd": base64.b64encode(proof.signed).decode()}
    return {"key": proof.key, **encoded}
