"""/api/v1/kill: the kill switch."""

from __future__ import annotations

from fastapi import APIRouter

from tidegate.enforcement.kill import Struck

from .services import By, Services
from .shapes import Kill, Killed

router = APIRouter(tags=["kill"])


@router.post("/kill")
async def kill(at: Services, by: By, body: Kill) -> Killed:
    """End what a session, an identity, a resource or everybody may do, now. Needs the ability to operate."""
    at.demand(by.identity, "operate", "pull the kill switch")
    struck: Struck = await at.switch.order(by.identity, body.what, body.name, body.reason)
    return Killed(sessions=struck.sessions, grants=struck.grants, tokens=struck.tokens)
