"""Events: one audited fact each, a leaf of the audit log."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

KINDS = frozenset(
    [
        "log.genesis",
        "log.heartbeat",
        "log.recovered",
        "log.stop",
        "gw.start",
        "config.changed",
        "policy.activated",
        "identity.bound",
        "identity.disabled",
        "cred.enrolled",
        "auth.ok",
        "auth.fail",
        "token.issued",
        "token.revoked",
        "grant.activated",
        "grant.used",
        "grant.revoked",
        "grant.expired",
        "session.start",
        "session.end",
        "session.killed",
        "op.intent",
        "op.held",
        "op.outcome",
        "approval.requested",
        "approval.shown",
        "approval.granted",
        "approval.rejected",
        "approval.withdrawn",
        "approval.expired",
        "approval.used",
        "approval.voided",
        "gateway.statement",
        "rec.seal",
        "alert.raised",
        "replay.opened",
    ]
)
"""Every kind a leaf may have; the verifier refuses others."""
