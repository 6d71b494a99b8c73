"""A session's time line, told from the log: each operation with its verdict, approvals, outcome and statement.

Statement texts come from the sealed store and are compared with the leaf's commitment. What cannot be shown is named in
``unread``; it is never left out silently.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tidegate.audit.library import Reader
from tidegate.errors import TidegateError

from .leaves import of_approvals, of_session
from .openings import Openings
from .services import ApiServices
from .shapes import ApprovalFact, OperationShown, OutcomeShown, Replay, SessionShown
from .shown import safe

Leaf = Mapping[str, Any]
_ERASED = "[not readable]"


async def timeline(at: ApiServices, session: SessionShown, after: int, limit: int) -> Replay:
    """``limit`` operations of ``session`` after leaf ``after``; reads the log and opens statements in a thread."""
    log = await at.logs.of_session(session.sid)
    return await asyncio.to_thread(_tell, at, log, session, after, limit)


def _tell(at: ApiServices, log: Reader, session: SessionShown, after: int, limit: int) -> Replay:
    leaves = of_session(log, session.sid, session.started)
    names = {row.subject: row.name for row in at.store.identities()}
    openings = Openings(log.directory, at.replay_identity)
    unread = _gaps(leaves)
    outcomes = {leaf["of"]: leaf for leaf in leaves if leaf["k"] == "op.outcome"}
    approvals = _approvals(at, leaves, session, names)
    intents = [leaf for leaf in leaves if leaf["k"] == "op.intent" and leaf["i"] > after]
    told = intents[:limit]
    operations = [_operation(leaf, outcomes.get(leaf["i"]), approvals, openings, unread) for leaf in told]
    rest = str(told[-1]["i"]) if len(intents) > limit else None
    return Replay(session=session, operations=operations, unread=unread, next=rest)


def _operation(
    leaf: Leaf,
    outcome: Leaf | None,
    approvals: Sequence[tuple[frozenset[int], ApprovalFact]],
    openings: Openings,
    unread: list[str],
) -> OperationShown:
    text, parameters = statement(leaf, openings, unread)
    return OperationShown(
        leaf=leaf["i"],
        at=leaf["t"],
        command=safe(leaf["op"]),
        statement=text,
        parameters=parameters,
        verdict=leaf["req"],
        alone=leaf["dec"]["e"],
        rules=leaf["dec"]["r"],
        policy=leaf["dec"]["ph"],
        approvals=[fact for intents, fact in approvals if leaf["i"] in intents],
        outcome=_outcome(outcome) if outcome else None,
    )


def statement(leaf: Leaf, openings: Openings, unread: list[str]) -> tuple[str, str]:
    """Text and parameters of an intent; when they do not open, a mark, and the reason is added to ``unread``."""
    try:
        sealed = orjson.loads(openings.text(leaf, "stmt"))
    except TidegateError as error:
        unread.append(f"leaf {leaf['i']}: {error.message}")
        return _ERASED, ""
    parameters = base64.b64decode(sealed["parameters"]).decode("utf-8", "backslashreplace")
    return safe(sealed["text"], lines=True), safe(parameters, lines=True)


def _outcome(leaf: Leaf) -> OutcomeShown:
    # A session that a crash cut off is closed at the next start, by a leaf that knows no counts.
    return OutcomeShown(
        status=leaf.get("st") or leaf.get("status", "indeterminate"),
        code=safe(leaf.get("code", "")),
        tag=safe(leaf.get("tag", "")),
        rows=leaf.get("rows", 0),
        bytes=leaf.get("bytes", 0),
        masked=_masked(leaf.get("msk") or {}),
    )


def _masked(counts: Mapping[str, int] | Sequence[Mapping[str, Any]]) -> dict[str, int]:
    if isinstance(counts, Mapping):
        return {safe(name): count for name, count in counts.items()}
    return {safe(each["col"]): each["n"] for each in counts}


def _approvals(
    at: ApiServices, leaves: Sequence[Leaf], session: SessionShown, names: Mapping[str, str]
) -> list[tuple[frozenset[int], ApprovalFact]]:
    """What happened to approvals, by the gateway's own log, each with the intents of this session that it is about."""
    about = {leaf["ap"]: frozenset(leaf["of"]) for leaf in leaves if leaf["k"] == "op.held"}
    rows = [at.store.approval(id) for id in about]
    began = min([session.started, *(row.asked for row in rows if row is not None)])
    return [
        (
            about[leaf["ap"]],
            ApprovalFact(
                id=leaf["ap"],
                what=leaf["k"].removeprefix("approval."),
                by=safe(names.get(leaf.get("by", ""), leaf.get("by", ""))),
                at=leaf["t"],
            ),
        )
        for leaf in of_approvals(at.log, about, began)
    ]


def _gaps(leaves: Sequence[Leaf]) -> list[str]:
    """The session's counter must run from 1 without a gap."""
    counters = [leaf["n"] for leaf in leaves]
    if counters == list(range(1, len(counters) + 1)):
        return []
    return ["The session's leaves are not all there; run `tidegate audit verify` on the data directory."]
