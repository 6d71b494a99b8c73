"""Approvals as the store keeps them, and what a start takes from there.

A row is for lists and for going on after a restart; it proves nothing. At a start a question is taken up only if the
gateway's own log tells the same of it: that exactly this was asked, who said yes, and that it is not over. Whatever is
open by the log but not taken up is voided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from tidegate.audit.log import Log
from tidegate.clock import Clock
from tidegate.errors import IntegrityError
from tidegate.model.approval import APPROVED, WAITING, Held
from tidegate.model.event import Json
from tidegate.store.box import Box
from tidegate.store.rows import ApprovalRow, Store

from .register import Register

_HELD = TypeAdapter(Held)
OVER = frozenset(f"approval.{state}" for state in ("rejected", "withdrawn", "expired", "voided", "used"))


def row_of(held: Held, leaf: int, box: Box) -> ApprovalRow:
    """The row of a question; ``leaf`` is the newest one of the log that speaks of it."""
    body = box.seal(_HELD.dump_json(held), _about(held.id))
    question = held.question
    return ApprovalRow(held.id, question.matter, question.digest, held.state, held.asked, body, leaf)


def held_of(row: ApprovalRow, box: Box) -> Held:
    """The question in a row. Raises IntegrityError ``store.forged``."""
    try:
        held = _HELD.validate_json(box.open(row.body, _about(row.id)))
    except ValidationError:
        raise IntegrityError("an approval in the store cannot be read", code="store.forged") from None
    if (held.id, held.state, held.question.digest) != (row.id, row.state, row.digest):
        raise IntegrityError("an approval in the store contradicts itself", code="store.forged")
    return held


@dataclass(slots=True)
class _Told:
    """What the log says of an approval."""

    digest: str
    yes: set[str] = field(default_factory=set)
    approved: bool = False
    escalated: int = 0
    expires: int = 0
    over: bool = False


def restore(
    register: Register, store: Store, box: Box, log: Log, clock: Clock, leaves: Iterable[Mapping[str, Json]]
) -> None:
    """Take up what is open by ``leaves``, the approvals' leaves of the log from the oldest on, and by the store.

    Blocks for the store; on the loop, at start.
    """
    told = {id: each for id, each in _history(leaves).items() if not each.over}
    for id, said in told.items():
        held = _stored(store, box, id)
        if held is not None and held.expires > clock.now() and _agree(held, said):
            register.take_up(held)
        else:
            why = b"the gateway was started anew, and its store does not tell the same as its log"
            log.append("approval.voided", {"ap": id, "dg": said.digest}, private={"why": why})


def _history(leaves: Iterable[Mapping[str, Json]]) -> dict[str, _Told]:
    found: dict[str, _Told] = {}
    for leaf in leaves:
        kind, id = str(leaf.get("k")), str(leaf.get("ap"))
        if kind == "approval.requested":
            found[id] = _Told(str(leaf.get("dg")), expires=_number(leaf))
        elif id in found:
            _turn(found[id], kind, leaf)
    return found


def _turn(told: _Told, kind: str, leaf: Mapping[str, Json]) -> None:
    if kind == "approval.granted":
        told.yes.add(str(leaf.get("by")))
        if leaf.get("done") is True:
            told.approved, told.expires = True, _number(leaf)
    elif kind == "approval.escalated":
        told.escalated = _number(leaf, "after")
    elif kind in OVER:
        told.over = True


def _agree(held: Held, told: _Told) -> bool:
    """The row may lag behind the log by what was being written when the gateway died: then it does not agree."""
    question = held.question
    bound = hashlib.sha256(question.bound.encode()).hexdigest()
    state = APPROVED if told.approved else WAITING
    return (held.state, held.expires, held.escalated) == (state, told.expires, told.escalated) and (
        question.digest == bound == told.digest and {answer.subject for answer in held.yes} == told.yes
    )


def _stored(store: Store, box: Box, id: str) -> Held | None:
    try:
        row = store.approval(id)
        return held_of(row, box) if row is not None else None
    except IntegrityError:
        return None


def _number(leaf: Mapping[str, Json], name: str = "exp") -> int:
    value = leaf.get(name)
    return value if isinstance(value, int) else 0


def _about(id: str) -> str:
    return f"approval:{id}"
