"""All workers' sessions as if they were in one process, for the API.

An end is carried out by the worker that holds the session, which writes the evidence in its own log; who
asks is named by subjects only, and the worker reads again from the signed store what they may do.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from tidegate.enforcement.sessions import SessionView
from tidegate.errors import Refused
from tidegate.model.identity import Identity

from .crew import Crew

_VIEWS = TypeAdapter(list[list[SessionView]])


class FleetSessions:
    """Implements ``enforcement.sessions.LiveSessions``."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    async def live(self) -> list[SessionView]:
        """Every open session."""
        found = _VIEWS.validate_python(await self._crew.all("sessions"))
        return [view for views in found for view in views]

    async def kill(self, sid: str, by: Identity, reason: str) -> None:
        """End one session now; the event is durable before the caller hears of it. Raises Refused."""
        if await self._crew.find("kill", sid=sid, by=subjects(by), reason=reason) is None:
            raise Refused("no such session is open", hint="See: tidegate sessions ls", code="session.unknown")

    async def end_of_token(self, token: str) -> None:
        """Nothing opens with this token any more, in no worker, and what it opened has ended."""
        await self._crew.all("end", of="token", id=token)

    async def end_of_grant(self, grant: str) -> None:
        """As ``end_of_token``."""
        await self._crew.all("end", of="grant", id=grant)

    async def end_of_subject(self, subject: str) -> None:
        """As ``end_of_token``, for every chain that somebody has a part in."""
        await self._crew.all("end", of="subject", id=subject)


def subjects(who: Identity) -> list[str]:
    """The chain by subjects."""
    return [hop.subject for hop in who.chain]
