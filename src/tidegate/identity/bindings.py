"""Which tokens are whose: conditions on the claims of a workload's token.

A condition is a claim and a pattern. A claim within others is written with ``/``, as in
``example.io/account/uid``. In a pattern ``*`` stands for any text without ``/`` and ``:``, so that it never
reaches into the next part of a name; everything else is meant literally. A claim that is a list fits if an item does.

Invariants: every condition must hold, one that names an absent claim never does; a set of conditions pins the workload
itself by at least one claim of ``PINS`` without ``*``; what the token's times and audience say is no condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tidegate.errors import Refused

PINS = (
    "sub",
    "client_id",
    "azp",
    "repository",
    "repository_id",
    "project_path",
    "project_id",
)
"""Claims that name one workload: client, repository, project, service account."""

MOST = 16
"""Conditions of one binding."""

_CLAIM = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_PATTERN = re.compile(r"[!-~](?:[ -~]{0,510}[!-~])?")
_SEPARATOR = re.compile(r"([/:])")
_TAKEN = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "act", "may_act"})


def written(conditions: Mapping[str, str]) -> str:
    """Conditions as canonical JSON. Raises Refused ``binding.condition``, ``binding.unpinned``."""
    if len(conditions) > MOST or not all(
        _CLAIM.fullmatch(claim) and claim not in _TAKEN and _PATTERN.fullmatch(pattern)
        for claim, pattern in conditions.items()
    ):
        raise Refused(
            "this is not a condition on a token's claims",
            hint=f"At most {MOST}, each CLAIM=PATTERN in printable characters, such as repository=org/app. "
            "The issuer and its audience are in tidegate.yaml.",
            code="binding.condition",
        )
    if not any("*" not in conditions.get(claim, "*") for claim in PINS):
        raise Refused(
            "this would fit more than one workload",
            hint=f"Say one of these without *: {', '.join(PINS)}.",
            code="binding.unpinned",
        )
    return orjson.dumps(dict(conditions), option=orjson.OPT_SORT_KEYS).decode()


def read(text: str) -> dict[str, str]:
    """What ``written`` gave."""
    return {str(claim): str(pattern) for claim, pattern in orjson.loads(text).items()}


def fits(conditions: Mapping[str, str], claims: Mapping[str, Any]) -> bool:
    """Whether every condition holds; no conditions fit nothing."""
    return bool(conditions) and all(
        any(_alike(pattern, value) for value in _values(claims, claim)) for claim, pattern in conditions.items()
    )


def _values(claims: Mapping[str, Any], claim: str) -> Iterator[str]:
    """What a claim says as text; nothing for what is absent, or is neither a text, a number nor a list of these."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
    for value in found if isinstance(found, list) and claim != "sub" else [found]:
        if isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str | int):
            yield str(value)


def _alike(pattern: str, text: str) -> bool:
    """Part by part between separators; what takes time is at most the product of the two lengths."""
    wanted, given = _SEPARATOR.split(pattern), _SEPARATOR.split(text)
    return len(wanted) == len(given) and all(map(_part, wanted, given))


def _part(pattern: str, text: str) -> bool:
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, tail = rest
    at, end = len(head), len(text) - len(tail)
    if at > end or not text.startswith(head) or not text.endswith(tail):
        return False
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
