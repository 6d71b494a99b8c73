"""What is told of a question and of an alarm, in words for people who are not logged in.

Invariants: a statement is told without its values, by what the protocol itself makes of it, or not at all; parameters,
and what a new policy says, are never told. Everything is made safe to read and has a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

from tidegate.model.approval import GRANT, OPERATION, POLICY, WAITING, Held, Question
from tidegate.model.notice import Notice
from tidegate.model.shown import safe

LONGEST = 2000
"""Characters of a statement or a value."""

OBJECTS = 20

Redacted: TypeAlias = Callable[[str, str], str]
"""A statement on a resource without values, empty when it cannot be said so. Blocks."""

_MATTERS = {OPERATION: "run a statement on", GRANT: "use", POLICY: "change the policy of"}


def change(held: Held) -> str:
    """A word for the state that a question has come to, never the same for two states of one question."""
    return f"{held.state}-{len(held.yes)}{f'-escalated-{held.escalated}' if held.escalated else ''}"


def of_question(held: Held, link: str, now: int, redacted: Redacted) -> Notice:
    """What is told of a question that was asked or has changed. Blocks for a moment."""
    question, event = held.question, _event(held)
    return Notice(
        id=f"{held.id}.{change(held)}",
        about=held.id,
        event=event,
        title=_cut(f"{question.requester.title} asks to {_MATTERS.get(question.matter, 'use')} {question.resource}"),
        line=_line(held, event),
        moment=now,
        facts=_facts(held),
        statement=_statement(question, redacted),
        reason=_cut(question.reason),
        link=link,
        open=held.state == WAITING,
        direct=held.state == WAITING and direct(question),
        digest=question.digest,
    )


def of_alarm(id: str, code: str, title: str, fields: Mapping[str, str], link: str, now: int) -> Notice:
    """What is told of an alarm. ``fields`` are words and their values; ``reason`` stays in unless it may go out."""
    facts = tuple((word, _cut(value)) for word, value in fields.items() if word not in ("id", "reason"))
    return Notice(
        id=f"{id}.{code.rpartition('.')[2]}",
        about=id,
        event=code,
        title=_cut(title),
        line=_cut(title),
        moment=now,
        urgent=True,
        facts=facts[:OBJECTS],
        reason=_cut(fields.get("reason", "")),
        link=link,
    )


def direct(question: Question) -> bool:
    """Whether one plain yes answers it: then it may be given without a fresh proof. A new policy never is."""
    needed = sum(each.count for each in question.approvers)
    signed = any(each.signed for each in question.approvers)
    return question.matter in (OPERATION, GRANT) and needed == 1 and not signed


def _event(held: Held) -> str:
    if held.state != WAITING:
        return f"approval.{held.state}"
    # Somebody may have said yes before it was escalated: what is new is told, whichever came first.
    return "approval.escalated" if held.escalated else "approval.granted" if held.yes else "approval.asked"


def _line(held: Held, event: str) -> str:
    last = held.yes[-1] if held.yes else None
    by = f" {safe(last.name)} said yes ({last.method})." if last else ""
    match event:
        case "approval.asked":
            return "It waits for an answer."
        case "approval.granted":
            return f"It waits for more answers.{by}"
        case "approval.escalated":
            return f"It waits too long: others may answer now.{by}"
        case "approval.approved":
            return f"It is approved.{by}"
        case "approval.rejected":
            return "It is refused."
        case "approval.voided":
            return "It no longer covers what would happen: nothing runs."
        case _:
            return f"It is {held.state}."


def _facts(held: Held) -> tuple[tuple[str, str], ...]:
    question = held.question
    commands = dict.fromkeys(str(fact.get("command", "")) for fact in question.facts)
    found = [
        ("Who", question.requester.title),
        ("Resource", question.resource),
        ("Command", ", ".join(filter(None, commands))),
        ("Objects", ", ".join(_objects(question))),
        ("Rule", question.rule),
        ("Because", question.because),
        ("Answers needed", "; ".join(_needs(held))),
        ("Yes from", ", ".join(answer.name for answer in held.yes)),
        ("Until", datetime.fromtimestamp(held.expires / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")),
    ]
    return tuple((word, _cut(value)) for word, value in found if value)


def _objects(question: Question) -> list[str]:
    found: dict[str, None] = {}
    for fact in question.facts:
        for name in ("writes", "reads"):
            objects = fact.get(name)
            found |= dict.fromkeys(map(str, objects if isinstance(objects, list | tuple) else ()))
    return list(found)[:OBJECTS]


def _needs(held: Held) -> list[str]:
    return [
        f"{each.count} of {' or '.join(held.groups(each))}{', signed' if each.signed else ''}"
        for each in held.question.approvers
    ]


def _statement(question: Question, redacted: Redacted) -> str:
    if question.matter == GRANT:
        return _cut(question.statement)  # the gateway's own words
    return _cut(redacted(question.resource, question.statement)) if question.matter == OPERATION else ""


def _cut(text: str) -> str:
    shown = safe(text[: 4 * LONGEST])
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
