"""What people and agents are permitted for a time: grants, broken glass, and the switch that ends all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from tidegate.enforcement.emergencies import Alarm, Emergencies
from tidegate.enforcement.grants import Grants
from tidegate.enforcement.kill import Halt, KillSwitch
from tidegate.enforcement.register import Register
from tidegate.enforcement.revocations import Revocations
from tidegate.enforcement.sessions import LiveSessions
from tidegate.model.event import Json

from .parts import Parts

logger = structlog.get_logger("tidegate")


def grants(parts: Parts, register: Register, revocations: Revocations) -> Grants:
    """Grants of a gateway, in the process that has its own log."""
    return Grants(
        parts.log, parts.store, parts.directory, parts.engine, register, parts.clock,
        revocations=revocations, resources=parts.settings.resources,
    )  # fmt: skip


def emergencies(parts: Parts, given: Grants, leaves: Iterable[Mapping[str, Json]], alarm: Alarm) -> Emergencies:
    """Broken glass, as the leaves of ``parts.authority`` tell of it."""
    return Emergencies(
        parts.log, parts.directory, parts.engine, parts.clock, given,
        resources=parts.settings.resources, alarm=alarm, leaves=leaves,
    )  # fmt: skip


def kill_switch(
    parts: Parts, register: Register, revocations: Revocations, sessions: LiveSessions, halt: Halt, alarm: Alarm
) -> KillSwitch:
    """The switch over the whole gateway; ``halt`` reaches every process."""

    def told(what: str, by: str, reason: str) -> None:
        alarm("kill.ordered", f"{by} ended {what}", {"what": what, "who": by, "reason": reason})

    return KillSwitch(
        parts.log, parts.store, parts.directory, parts.clock,
        revocations=revocations, sessions=sessions, halt=halt, withdraw=register.withdraw_where,
        resources=parts.settings.resources, told=told,
    )  # fmt: skip


def journal(code: str, _title: str, fields: Mapping[str, str]) -> None:
    """An alarm for operators; names and reasons stay out of their log."""
    logger.critical("alarm", code=code, of=fields.get("id", ""))
