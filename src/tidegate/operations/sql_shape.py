"""Texts that differ only in plain values, seen as one statement with parameters.

Why: a client that writes its values into the text sends a new text each time, and understanding it anew costs more than
everything else. A value is taken out only where the same text with a parameter in its place means the same: an integer
or a plain string right after a comparison or arithmetic operator. What is understood is then the text with parameters,
by the same analysis that an agent's own prepared statements go through, whose facts hold for all values: so the facts
of a shape are never milder than those of any text that has it.

Invariant: only texts over a small alphabet have a shape, one in which no comment, escape, dollar quote, identifier
quote or typed literal can be written, so that the two readings cannot differ. Everything else is understood as it is.
"""

from __future__ import annotations

import re

from tidegate.model.operation import Facts

LONGEST = 4096
"""Characters of a text that is looked at."""

_PLAIN = re.compile(r"(?:[A-Za-z0-9_ \t\r\n.,=<>()*;+%]++|-(?!-)|/(?!\*)|'[A-Za-z0-9_ .,@:/-]*+'(?!\s*'))++", re.ASCII)
_BEHIND = r"(?=[ \t\r\n,);]|\Z)"
_COMPARED, _COMPUTED = (
    re.compile(rf"({operators} ?)(?:[0-9]{{1,9}}{_BEHIND}|'[^']*'{_BEHIND})|'[^']*'", re.ASCII)
    for operators in ("[=<>]", "[=<>+*-]")
)
"""A value right after an operator, or any other string: those are taken whole, so that nothing in one is looked at."""

_BY = re.compile(r"\b(?:by|distinct)\b", re.ASCII | re.IGNORECASE)
"""Where a number may be the position of a column, a sign before it is left alone."""


def having(facts: Facts, text: str) -> Facts:
    """The facts of a shape as those of one text that has it."""
    return Facts(
        facts.verb,
        facts.command,
        text,
        facts.reads,
        facts.writes,
        facts.effect,
        facts.outputs,
        facts.filters,
        facts.flows,
        facts.bulk,
        facts.details,
        facts.reason,
        facts,
    )


def shape(text: str) -> str | None:
    """The text with its plain values as parameters; None when it has no such, or may not be read that way."""
    if len(text) > LONGEST or _PLAIN.fullmatch(text) is None:
        return None
    number = 0

    def parameter(found: re.Match[str]) -> str:
        nonlocal number
        if found[1] is None:
            return found[0]
        number += 1
        return f"{found[1]}${number}"

    changed = (_COMPARED if _BY.search(text) else _COMPUTED).sub(parameter, text)
    return changed if number else None
