"""Events: one audited fact each, a leaf of the audit log."""

from __future__ import annotations

from typing import TypeAlias

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

KINDS = frozenset(
    [
        "log.genesis",
        "log.heartbeat",
        "log.member",
        "log.recovered",
        "log.stop",
        "gw.start",
        "worker.lost",
        "config.changed",
        "policy.proposed",
        "policy.activated",
        "policy.refused",
        "identity.bound",
        "identity.linked",
        "identity.disabled",
        "cred.enrolled",
        "cred.revoked",
        "secret.changed",
        "account.leased",
        "account.returned",
        "auth.ok",
        "auth.fail",
        "auth.slowed",
        "token.issued",
        "token.revoked",
        "grant.requested",
        "grant.denied",
        "grant.activated",
        "grant.used",
        "grant.revoked",
        "grant.expired",
        "session.start",
        "session.end",
        "session.killed",
        "op.intent",
        "op.held",
        "op.released",
        "op.outcome",
        "approval.requested",
        "approval.tried",
        "approval.shown",
        "approval.granted",
        "approval.escalated",
        "approval.rejected",
        "approval.withdrawn",
        "approval.expired",
        "approval.used",
        "approval.voided",
        "breakglass.opened",
        "breakglass.reviewed",
        "kill.ordered",
        "notice.sent",
        "notice.failed",
        "gateway.statement",
        "rec.seal",
        "alert.raised",
        "replay.opened",
    ]
)
"""Every kind a leaf may have; the verifier refuses others."""
