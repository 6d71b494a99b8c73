"""The register of approvals: every question that people are asked, until it is answered, used, or over.

There is one, in the process that has the gateway's own log; sessions of other processes reach it through ``Desk``. What
counts is that log: a question, each yes and its use are durable leaves there before they have any effect, and a start
takes nothing from the store that the log does not say too. So an edited store opens nothing, and an approval that was
used stays used. A yes is used once, by whoever asks exactly the same again; no time-out approves.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import LogFailure, Refused, TidegateError
from tidegate.model.approval import (
    APPROVED,
    EXPIRED,
    REJECTED,
    USED,
    VOIDED,
    WAITING,
    WITHDRAWN,
    Answer,
    Held,
    Question,
)
from tidegate.model.event import Json
from tidegate.model.identity import Identity
from tidegate.model.proof import Proof

from .answers import may_answer, may_sign, rules_for, satisfied
from .revocations import Revocations
from .trail import sealed_json

MOST = 10_000
MOST_OF_ONE = 50
"""Questions kept at a time, and open ones of one person's chains."""

OPEN = (WAITING, APPROVED)


class Desk(Protocol):
    """The register as one who asks sees it."""

    async def ask(self, question: Question) -> Held:
        """Ask, or find that the same chain asked exactly this before and has not used the answer. Raises Refused."""

    async def wait(self, id: str, patience: float) -> Held:
        """The question once it is answered or over, or as it stands after ``patience`` seconds. Raises Refused."""

    async def use(self, id: str, digest: str, sid: str) -> None:
        """Consume a yes; durable on return. Raises Refused ``approval.void`` when there is none, or none any more."""

    def withdraw(self, id: str, sid: str) -> None:
        """The session that asked first takes the question back."""

    def void(self, id: str, reason: str) -> None:
        """It no longer covers what would happen."""


class Questions(Protocol):
    """The register as people see it, through the API and the pages."""

    async def waiting(self) -> list[Held]:
        """Every open question, oldest first."""

    async def find(self, id: str) -> Held | None:
        """One question that is open or just over."""

    async def wait(self, id: str, patience: float) -> Held:
        """See ``Desk``."""

    async def shown(self, id: str, by: Identity, digest: str) -> None:
        """Somebody who may answer looks at it: what was shown to them, by its SHA-256, is a fact of its own."""

    async def approve(self, id: str, by: Identity, proof: Proof) -> Held:
        """One yes; the last one needed approves it. Raises Refused."""

    async def refuse(self, id: str, by: Identity, reason: str, proof: Proof) -> Held:
        """A no ends the question. Raises Refused."""


@dataclass(slots=True)
class _Case:
    held: Held
    changed: asyncio.Future[None]
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)


class Register:
    """Implements ``Desk`` and ``Questions``; event loop only."""

    def __init__(self, log: Log, clock: Clock, revocations: Revocations) -> None:
        self._log = log
        self._clock = clock
        self._revocations = revocations
        self._listeners: list[Callable[[Held, int], None]] = []
        self._cases: dict[str, _Case] = {}
        self._groups: Callable[[str], Sequence[str]] | None = None

    def listen(self, told: Callable[[Held, int], None]) -> None:
        """From now on ``told`` hears every change, with the leaf that says so; it neither blocks nor raises."""
        self._listeners.append(told)

    def watch(self, groups: Callable[[str], Sequence[str]]) -> None:
        """From now on a yes counts only if who gave it is an approver still; ``groups`` blocks and may raise."""
        self._groups = groups

    # who asks

    async def ask(self, question: Question) -> Held:
        """See ``Desk``."""
        same = self._same(question)
        if same is not None:
            return same.held
        self._room(question)
        now = self._clock.now()
        held = Held(self._clock.name("ap"), question, now, now + question.within * 1_000_000)
        statement = sealed_json({"text": question.statement, "parameters": question.parameters})
        private = {"why": question.reason.encode(), "who": question.requester.title.encode(), "stmt": statement}
        leaf = self._log.append(
            "approval.requested",
            {**_asked(held), "exp": held.expires},
            private={name: sealed for name, sealed in private.items() if sealed},
        )
        case = self._cases[held.id] = _Case(held, asyncio.get_running_loop().create_future())
        self._set_timers(case)
        self._tell(case, leaf)
        await self._log.sync()
        return case.held

    async def wait(self, id: str, patience: float) -> Held:
        """See ``Desk``."""
        case = self._cases.get(id)
        if case is None:
            raise _unknown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while case.held.state == WAITING:
                    await asyncio.shield(case.changed)
        return case.held

    async def use(self, id: str, digest: str, sid: str) -> None:
        """See ``Desk``."""
        held = self._usable(id, digest).held
        yes = held.yes if self._groups is None else await asyncio.to_thread(_still, held, self._groups)
        case = self._usable(id, digest)  # somebody else may have been faster
        if not satisfied(held, yes):
            self.void(id, "somebody who approved it is no approver any more")
            raise Refused("somebody who approved this is no approver any more", hint="Ask again.", code="approval.void")
        self._end(case, USED, {"ses": sid} if sid else {})
        await self._log.sync()

    def withdraw(self, id: str, sid: str) -> None:
        """See ``Desk``."""
        case = self._cases.get(id)
        if case is not None and case.held.state == WAITING and case.held.question.sid == sid:
            self._end(case, WITHDRAWN)

    def withdraw_where(self, which: Callable[[Question], bool]) -> int:
        """Take back all open questions of a kind, approved ones too; gives their number."""
        found = [case for case in self._cases.values() if case.held.state in OPEN and which(case.held.question)]
        for case in found:
            self._end(case, WITHDRAWN)
        return len(found)

    def void(self, id: str, reason: str) -> None:
        """See ``Desk``."""
        case = self._cases.get(id)
        if case is not None and case.held.state in (*OPEN, USED):
            self._end(case, VOIDED, private={"why": reason.encode()}, answer=reason)

    # who answers

    async def waiting(self) -> list[Held]:
        """See ``Questions``."""
        return [case.held for case in self._cases.values() if case.held.state == WAITING]

    async def find(self, id: str) -> Held | None:
        """See ``Questions``."""
        case = self._cases.get(id)
        return case.held if case else None

    async def shown(self, id: str, by: Identity, digest: str) -> None:
        """See ``Questions``."""
        case = self._cases.get(id)
        if case is None or case.shown.get(by.person.subject) == digest:
            return
        case.shown[by.person.subject] = digest
        self._log.append("approval.shown", {**_named(case.held), "by": by.person.subject, "sh": digest})
        await self._log.sync()

    async def approve(self, id: str, by: Identity, proof: Proof) -> Held:
        """See ``Questions``."""
        case = self._open(id)
        may_answer(case.held, by)
        may_sign(case.held, by, proof)
        person = by.person
        if any(answer.subject in by.involved for answer in case.held.yes):
            raise Refused("you have approved this already", code="approval.repeated")
        shown = case.shown.get(person.subject, "")
        answer = Answer(person.subject, person.name, person.groups, self._clock.now(), proof.method, shown)
        yes = (*case.held.yes, answer)
        complete = satisfied(case.held, yes)
        fields: dict[str, Json] = {**_named(case.held), "by": person.subject, "how": proof.method, "sh": shown}
        fields |= {"for": list[Json](rules_for(case.held, person.groups)), "done": complete, **_signature(proof)}
        now = self._clock.now()
        if complete:
            fields["exp"] = now + case.held.question.within * 1_000_000
        leaf = self._log.append("approval.granted", fields)
        # Nobody else's yes may be weighed beside an older state, so it counts at once, but nothing is released before
        # the leaf is durable.
        case.held = replace(case.held, yes=yes)
        await self._log.sync()
        if case.held.state != WAITING:
            raise Refused(f"the request is {case.held.state}", code="approval.closed")
        if complete:
            case.held = replace(case.held, state=APPROVED, expires=int(str(fields["exp"])))
            self._set_timers(case)
        self._tell(case, leaf)
        return case.held

    async def refuse(self, id: str, by: Identity, reason: str, proof: Proof) -> Held:
        """See ``Questions``."""
        case = self._open(id)
        may_answer(case.held, by)
        fields: dict[str, Json] = {"by": by.person.subject, "how": proof.method, **_signature(proof)}
        self._end(case, REJECTED, fields, {"why": reason.encode()}, answer=reason)
        await self._log.sync()
        return case.held

    # inside

    def take_up(self, held: Held) -> None:
        """A question of an earlier start that the log bears out (``enforcement.kept``)."""
        case = self._cases[held.id] = _Case(held, asyncio.get_running_loop().create_future())
        self._set_timers(case)

    def _same(self, question: Question) -> _Case | None:
        now = self._clock.now()
        for case in self._cases.values():
            if case.held.state in OPEN and case.held.expires > now and _alike(case.held.question, question):
                return case
        return None

    def _room(self, question: Question) -> None:
        subject = question.requester.person.subject
        mine = [case for case in self._cases.values() if case.held.question.requester.person.subject == subject]
        own = sum(1 for case in mine if case.held.state in OPEN)
        if len(self._cases) >= MOST or own >= MOST_OF_ONE:
            raise Refused(
                "too many requests wait for an answer",
                hint="Withdraw some, or wait until they are answered: tidegate approvals ls",
                code="approval.many",
            )

    def _usable(self, id: str, digest: str) -> _Case:
        case = self._cases.get(id)
        if case is None or case.held.state != APPROVED or case.held.question.digest != digest:
            raise Refused("the approval was used before or does not cover this", code="approval.void")
        if case.held.expires <= self._clock.now():
            self._expire(case)
            raise Refused("the approval was not used in time", hint="Ask again.", code="approval.void")
        if any(answer.subject in self._revocations for answer in case.held.yes):
            self.void(id, "somebody who approved it was disabled")
            raise Refused("somebody who approved this was disabled", hint="Ask again.", code="approval.void")
        return case

    def _open(self, id: str) -> _Case:
        case = self._cases.get(id)
        if case is None or case.held.state != WAITING:
            raise _unknown()
        if case.held.expires <= self._clock.now():
            self._expire(case)
            raise _unknown()
        return case

    def _set_timers(self, case: _Case) -> None:
        loop, now, held = asyncio.get_running_loop(), self._clock.now(), case.held
        for timer in case.timers:
            timer.cancel()
        case.timers = [loop.call_later(max(0.0, (held.expires - now) / 1e6), self._expire, case)]
        for after in {each.after for each in held.question.approvers if each.after > held.escalated}:
            due = held.asked + after * 1_000_000
            case.timers.append(loop.call_later(max(0.0, (due - now) / 1e6), self._escalate, case, after))

    def _expire(self, case: _Case) -> None:
        if case.held.state in OPEN:
            with contextlib.suppress(LogFailure):
                self._end(case, EXPIRED)

    def _escalate(self, case: _Case, after: int) -> None:
        if case.held.state == WAITING and case.held.escalated < after:
            further = {name for each in case.held.question.approvers if each.after == after for name in each.escalate}
            with contextlib.suppress(LogFailure):
                fields: dict[str, Json] = {"to": list[Json](sorted(further)), "after": after}
                leaf = self._log.append("approval.escalated", {**_named(case.held), **fields})
                case.held = replace(case.held, escalated=after)
                self._tell(case, leaf)

    def _end(
        self,
        case: _Case,
        state: str,
        fields: Mapping[str, Json] | None = None,
        private: Mapping[str, bytes] | None = None,
        *,
        answer: str = "",
    ) -> None:
        """The question is over: the leaf comes first, then it is so for everybody."""
        leaf = self._log.append(f"approval.{state}", {**_named(case.held), **(fields or {})}, private=private)
        case.held = replace(case.held, state=state, answer=answer)
        for timer in case.timers:
            timer.cancel()
        self._tell(case, leaf)
        # It can still be found for a while, by who waited for it.
        asyncio.get_running_loop().call_later(60, self._forget, case.held.id)

    def _forget(self, id: str) -> None:
        case = self._cases.get(id)
        if case is not None and case.held.state not in OPEN:
            del self._cases[id]

    def _tell(self, case: _Case, leaf: int) -> None:
        changed, case.changed = case.changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)
        for told in self._listeners:
            told(case.held, leaf)


def _still(held: Held, groups: Callable[[str], Sequence[str]]) -> list[Answer]:
    """Each yes with those of its groups that who gave it is in to this day. Blocks."""
    found = []
    for answer in held.yes:
        with contextlib.suppress(TidegateError):
            now = groups(answer.subject)
            found.append(replace(answer, groups=tuple(name for name in answer.groups if name in now)))
    return found


def _alike(one: Question, other: Question) -> bool:
    """Whether exactly the same is asked by the same chain."""
    chains = [[hop.subject for hop in each.requester.chain] for each in (one, other)]
    return (one.matter, one.digest) == (other.matter, other.digest) and chains[0] == chains[1]


def _asked(held: Held) -> dict[str, Json]:
    question = held.question
    need: list[Json] = []
    for each in question.approvers:
        wanted: dict[str, Json] = {"r": each.rule, "groups": list(each.groups), "count": each.count}
        if each.signed:
            wanted["signed"] = True
        if each.escalate:
            wanted |= {"esc": list(each.escalate), "after": each.after}
        need.append(wanted)
    chain = question.requester.chain
    owners: list[Json] = [*sorted(question.requester.involved)]
    fields: dict[str, Json] = {"matter": question.matter, "res": question.resource, "sub": chain[0].subject}
    fields |= {"act": [hop.subject for hop in chain], "inv": owners, "ph": question.bundle, "need": need}
    return {**_named(held), **fields, **({"ses": question.sid} if question.sid else {})}


def _named(held: Held) -> dict[str, Json]:
    return {"ap": held.id, "dg": held.question.digest}


def _signature(proof: Proof) -> dict[str, Json]:
    """What anybody needs, with the key's ``cred.enrolled`` leaf, to check a signed answer."""
    if not proof.signature:
        return {"key": proof.key} if proof.key else {}
    encoded = {"sig": base64.b64encode(proof.signature).decode(), "sgd": base64.b64encode(proof.signed).decode()}
    return {"key": proof.key, **encoded}


def _unknown() -> Refused:
    return Refused("no such request is waiting", hint="See: tidegate approvals ls", code="approval.unknown")
