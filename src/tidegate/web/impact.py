"""/api/v1/approvals/{id}/impact and /try: what a statement that waits for people would do.

Whoever may answer may look, and nobody else: an estimate runs nothing, a dry run does what is asked and takes it back.
Each look is a leaf before anything is asked of the resource, and another one with the SHA-256 of what was shown.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode

import orjson
from fastapi import APIRouter

from tidegate.enforcement.answers import may_answer
from tidegate.errors import Refused
from tidegate.model.approval import OPERATION, WAITING, Held, Question
from tidegate.model.event import Json
from tidegate.model.identity import Identity
from tidegate.model.impact import Attempt, Impact, Sample

from .services import ApiServices, By, Services
from .shapes import ImpactView, SampleView
from .shown import safe

router = APIRouter(prefix="/approvals", tags=["approvals"])


@router.get("/{id}/impact")
async def estimate(at: Services, by: By, id: str) -> ImpactView:
    """Estimate how many rows it would give or change. Nothing of it runs."""
    return await _look(at, by.identity, id, run=False)


@router.post("/{id}/try")
async def attempt(at: Services, by: By, id: str) -> ImpactView:
    """Do it, show what it did, and take it back. Only where all of it can be taken back; else it says why not."""
    return await _look(at, by.identity, id, run=True)


async def _look(at: ApiServices, by: Identity, id: str, *, run: bool) -> ImpactView:
    held = await _answerable(at, by, id)
    fields: dict[str, Json] = {"ap": held.id, "dg": held.question.digest, "by": by.person.subject, "run": run}
    at.log.append("approval.tried", fields)
    await at.log.sync()
    asked = attempt_of(held.question)
    found = await at.impact(held.question.resource, asked, run) if isinstance(asked, Attempt) else asked
    view = impact_view(found)
    shown = orjson.dumps(view.model_dump(), option=orjson.OPT_SORT_KEYS)
    at.log.append("approval.tried", {**fields, "sh": hashlib.sha256(shown).hexdigest()})
    await at.log.sync()
    return view


async def _answerable(at: ApiServices, by: Identity, id: str) -> Held:
    held = await at.approvals.find(id)
    if held is None or held.state != WAITING:
        raise _unknown()
    try:
        may_answer(held, by)
    except Refused as error:
        if error.code == "approval.self":
            raise
        raise _unknown() from None
    return held


def attempt_of(question: Question) -> Attempt | Impact:
    """Exactly what is asked, from what a yes would be bound to; or why it cannot be looked at."""
    if question.matter != OPERATION:
        return Impact(unknown="only operations can be looked at beforehand")
    bound = orjson.loads(question.bound)
    if len(bound["operations"]) != 1:
        return Impact(unknown="only a single statement can be looked at beforehand")
    (asked,) = bound["operations"]
    if asked["runs"] or asked["phase"] != "execute":
        return Impact(unknown="what runs by a name cannot be looked at beforehand")
    return Attempt(
        asked["text"], b64decode(asked["parameters"]), bytes.fromhex(asked["declared"]), str(bound["context"])
    )


def impact_view(found: Impact) -> ImpactView:
    """An impact as people may read it."""
    return ImpactView(
        rows=found.rows,
        exact=found.exact,
        objects=[safe(name) for name in found.objects],
        before=_sample(found.sample_before),
        after=_sample(found.sample_after),
        unknown=safe(found.unknown),
        notes=[safe(note) for note in found.notes],
        values=[safe(value) for value in found.values],
    )


def _sample(sample: Sample | None) -> SampleView | None:
    if sample is None:
        return None
    return SampleView(
        columns=[safe(name) for name in sample.columns],
        rows=[[None if cell is None else safe(cell) for cell in row] for row in sample.rows],
    )


def _unknown() -> Refused:
    return Refused(
        "there is no such approval that you may answer", code="approval.unknown", hint="See: tidegate approvals ls"
    )
