"""`tidegate sessions`: what is going on, and what went on, statement by statement."""

from __future__ import annotations

import time
from typing import Annotated, Any

from cyclopts import Parameter

from . import screen
from .remote import connect

_COUNTS = ("operations", "refused", "held", "masked")


def listing(
    *,
    live: Annotated[bool, Parameter(help="Only those still open.", negative="")] = False,
    output: screen.Output = "table",
    limit: int = 50,
) -> None:
    """List sessions, newest first: your own, or all of them for who observes the gateway."""
    rows = list(connect().every("sessions", limit=limit, state="live" if live else None))
    if output == "json":
        screen.as_json(rows)
        return
    now = time.time_ns() // 1000
    cells = [
        [
            *screen.dig(row, "sid", "state", "title", "resource", *_COUNTS, *_worker(rows)),
            screen.age(row["started"], now),
        ]
        for row in rows
    ]
    headings = ("session", "state", "who", "resource", *_COUNTS, *_worker(rows), "started")
    screen.table(headings, cells, empty="No sessions.")


def show(sid: str, *, output: screen.Output = "table") -> None:
    """Show one session: who, where, when, how it ended, and its counts."""
    session = connect().get("sessions", sid)
    if output == "json":
        screen.as_json(session)
        return
    _head(session)


def replay(sid: str, *, output: screen.Output = "table") -> None:
    """Replay a session: each statement with its verdict, rule, approval, rows and masks. Looking is an event itself."""
    gateway = connect()
    answer = page = gateway.get("sessions", sid, "replay")
    while page["next"]:
        page = gateway.get("sessions", sid, "replay", cursor=page["next"])
        answer["operations"] += page["operations"]
        answer["unread"] += [gap for gap in page["unread"] if gap not in answer["unread"]]
    if output == "json":
        screen.as_json(answer)
        return
    _head(answer["session"])
    for operation in answer["operations"]:
        _step(operation, answer["session"]["started"])
    for gap in answer["unread"]:
        screen.note(gap)


def kill(sid: str, *, reason: Annotated[str, Parameter(help="The agent and the auditor read it.")] = "") -> None:
    """End a live session now. Needs to be yours, or the ability to operate the gateway."""
    connect().post("sessions", sid, "kill", body={"reason": reason})
    screen.note(f"Ended session {sid}.")


def _worker(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """A column that says something only where there are workers."""
    return ("worker",) if any(row.get("worker") for row in rows) else ()


def _head(session: dict[str, Any]) -> None:
    now = time.time_ns() // 1000
    screen.facts(
        [
            ("session", session["sid"]),
            ("state", session["state"]),
            ("who", session["title"]),
            ("resource", session["resource"]),
            *([("worker", str(session["worker"]))] if session.get("worker") else []),
            ("started", screen.when(session["started"], now)),
            ("ended", screen.when(session["ended"], now)),
            ("reason", session["reason"] or ""),
            ("counts", ", ".join(f"{session[name]} {name}" for name in _COUNTS)),
        ]
    )


def _step(operation: dict[str, Any], started: int) -> None:
    from rich.text import Text

    offset = (operation["at"] - started) / 1e6
    word, why = _verdict(operation)
    screen.console().print(Text.assemble((f"\n{offset:8.3f} s  ", "dim"), screen.word(word), (why, "dim")))
    screen.statement(operation["statement"], indent=12)
    for note in _notes(operation):
        screen.indented(note, 12)


def _verdict(operation: dict[str, Any]) -> tuple[str, str]:
    """The verdict and why. A harmless part of a text shares the fate of the whole: its own rule is not to blame."""
    verdict, rules = operation["verdict"], f"rule {', '.join(operation['rules'])}"
    if operation["alone"] == verdict:
        return verdict, f"  {rules}"
    if verdict == "refuse":
        return "not run", ": another statement of the same text was refused"
    return verdict, f"  {operation['alone']} by {rules}, but another statement of the same text waits"


def _notes(operation: dict[str, Any]) -> list[str]:
    notes = [f"approval {fact['id']}: {fact['what']}{_by(fact)}" for fact in operation["approvals"]]
    outcome = operation["outcome"]
    if outcome is None:
        return [*notes, "no outcome yet"]
    if operation["alone"] != "refuse" and operation["verdict"] == "refuse":
        return notes
    masked = [f"{name} ({count})" for name, count in outcome["masked"].items()]
    return [*notes, _outcome(outcome), *([f"masked {', '.join(masked)}"] if masked else [])]


def _outcome(outcome: dict[str, Any]) -> str:
    """The status with the rows that came back, or else with the upstream's own words for what it did."""
    said = f"{outcome['status']} {outcome['code']}".strip()
    if outcome["rows"]:
        rows = "1 row" if outcome["rows"] == 1 else f"{outcome['rows']:,} rows"
        return f"{said}, {rows}, {outcome['bytes']:,} bytes"
    return f"{said}, {outcome['tag']}" if outcome["tag"] else said


def _by(fact: dict[str, Any]) -> str:
    return f" by {fact['by']}" if fact["by"] else ""
