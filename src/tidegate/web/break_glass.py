"""/api/v1/break-glass: a person gets in now; another one looks at it afterwards."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from tidegate.enforcement.emergencies import REVIEW, Broken
from tidegate.model.proof import action

from .services import ApiServices, By, Services
from .shapes import BrokenView, Emergency, Finding
from .shown import safe
from .stepup import proven

router = APIRouter(prefix="/break-glass", tags=["break-glass"])


@router.post("", status_code=201)
async def open(at: Services, by: By, body: Emergency) -> BrokenView:
    """Break the glass of a resource, for oneself, with a fresh proof. Everybody is told."""
    at.emergencies.asked(by.identity, body.resource, body.seconds, body.reason)
    proof = await proven(at, by, action("break-glass", body.resource), body.proof)
    row = await at.emergencies.open(by.identity, body.resource, body.seconds, body.reason, proof)
    return (await _views(at, [at.emergencies.broken[row.id]]))[0]


@router.get("")
async def listing(at: Services, by: By, unreviewed: bool = False) -> list[BrokenView]:
    """List broken glass, newest first: one's own, or all for who observes the gateway."""
    everybodys = at.may(by.identity, "observe")
    cases = [
        case
        for case in at.emergencies.broken.values()
        if (everybodys or case.subject == by.identity.person.subject) and not (unreviewed and case.reviewer)
    ]
    return await _views(at, sorted(cases, key=lambda case: -case.opened))


@router.post("/{id}/review")
async def review(at: Services, by: By, id: str, body: Finding) -> BrokenView:
    """Say what one found, as somebody who observes the gateway and had no part in it."""
    at.demand(by.identity, "observe", "review broken glass")
    return (await _views(at, [await at.emergencies.review(by.identity, id, body.finding)]))[0]


async def _views(at: ApiServices, cases: list[Broken]) -> list[BrokenView]:
    names = {row.subject: row.name for row in await asyncio.to_thread(at.store.identities)}
    return [
        BrokenView(
            id=case.grant,
            who=safe(names.get(case.subject, case.subject)),
            resource=case.resource,
            opened=case.opened,
            expires=case.expires,
            due=case.opened + REVIEW * 1_000_000,
            reviewed_by=safe(names.get(case.reviewer, case.reviewer)),
        )
        for case in cases
    ]
