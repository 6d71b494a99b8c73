"""Statements that run other statements: SQL's PREPARE and EXECUTE, DECLARE and FETCH.

Why: EXECUTE and FETCH say nothing of what they do but a name, so policy and masks need the facts of what the name
stands for. Invariants: a name that is not known, and arguments that are not proven harmless, leave the facts of EXECUTE
or FETCH as the parser gave them, which proves nothing; the text is always the agent's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tidegate.model.operation import Facts, Verb

Classify = Callable[[str], tuple[Facts, ...]]

READ: Final = Verb.READ
SESSION: Final = Verb.SESSION
EXECUTE: Final = Verb.EXECUTE
UNKNOWN: Final = Verb.UNKNOWN
"""Compiled code reads these without a look-up in the enumeration."""

RUNNING = frozenset(("execute", "fetch", "move"))
"""Commands that run what a name stands for."""

MAKING = frozenset(("prepare", "declare cursor"))
"""Commands that give a name to the statement they carry."""

NAMING = frozenset(("prepared", "cursor", "holds"))
"""Details that say which name a statement is about."""


def facts_of(classify: Classify, text: str) -> Facts:
    """Facts of a text that must be one statement."""
    facts = classify(text)
    if len(facts) == 1:
        return facts[0]
    if not facts:
        return Facts(SESSION, "empty", text, effect=False)
    return Facts(UNKNOWN, "several statements in one Parse", text, reason="the text holds several statements")


def plain(facts: Facts) -> bool:
    """Whether a statement neither uses nor changes a name that other statements run by."""
    details = facts.details
    return not ("prepared" in details or "cursor" in details or unlooked(facts) or facts.command == "discard all")


def unlooked(facts: Facts) -> bool:
    """Whether code runs, or may run, that nobody has looked into: it can give any name another meaning."""
    verb = facts.verb
    if verb is UNKNOWN or verb is EXECUTE or facts.command == "do":
        return True
    changes = verb is not READ and verb is not SESSION
    return changes and bool(facts.details.get("reactive") or facts.details.get("code"))


def runs(facts: Facts) -> bool:
    """Whether it is an EXECUTE, FETCH or MOVE of its own, with nothing in its arguments that is not proven harmless."""
    return facts.command in RUNNING and not facts.reason and not facts.details.get("explain")


def inner(facts: Facts) -> Facts:
    """What runs by the name that a PREPARE or DECLARE gives; other facts as they are."""
    if facts.command not in MAKING:
        return facts
    details = {key: value for key, value in facts.details.items() if key not in NAMING}
    commands = _commands(details)
    return replace(facts, command=commands[0], details={**details, "commands": commands}, shape=None)


def running(made: Facts, by: Facts) -> Facts:
    """The facts of ``by``, which runs ``made``."""
    made = inner(made)
    details = {
        **made.details,
        **{key: by.details[key] for key in ("prepared", "cursor", "multi") if key in by.details},
        "commands": [by.command, *_commands(made.details)],
        "functions": sorted({*_list(made.details, "functions"), *_list(by.details, "functions")}),
        "secrets": made.details.get("secrets", False) or by.details.get("secrets", False),
    }
    return replace(made, command=by.command, text=by.text, runs=made.text, details=details, shape=None)


def anew(classify: Classify, made: Facts, by: Facts) -> Facts:
    """``running`` under the names known now."""
    return running(facts_of(classify, made.text), by)


def kept(classify: Classify, made: Facts, by: Facts) -> Facts:
    """The same for a cursor, whose rows are those of its own time: where names changed since, no flow is proven."""
    facts = running(made, by)
    if inner(facts_of(classify, made.text)) == made:
        return facts
    return replace(facts, outputs=None, filters=None, flows=None, effect=True)


def _commands(details: Mapping[str, object]) -> list[str]:
    return [name for name in _list(details, "commands") if name not in MAKING and name not in RUNNING] or ["unknown"]


def _list(details: Mapping[str, object], key: str) -> Sequence[str]:
    found = details.get(key)
    return [str(item) for item in found] if isinstance(found, (list, tuple)) else []
