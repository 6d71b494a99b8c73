"""What policy answers, and what enforcement makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """The three answers, from mildest to strictest."""

    ALLOW = "allow"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Approvers:
    """``count`` different people of ``groups`` must say yes; nobody counts for two rules.

    With ``signed`` only a yes counts that is signed by the approver's own key. From ``after`` seconds on, if not 0,
    people of the groups ``escalate`` count too.
    """

    groups: tuple[str, ...]
    count: int
    rule: str
    signed: bool = False
    escalate: tuple[str, ...] = ()
    after: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The least of the matching rules' limits; ``None`` means none."""

    rows: int | None = None
    session_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Policy's pure answer to one operation.

    ``rules`` are the ids that decided (``default`` when none matched), ``mask`` the tags or tag prefixes to mask,
    ``within`` the seconds that people have for a hold, ``patience`` those that the agent waits on the line,
    ``break_glass`` whether an emergency grant lifts a refusal, ``bundle`` the policy's SHA-256 in hex.
    """

    effect: Effect
    rules: tuple[str, ...]
    bundle: str
    because: str = ""
    hint: str = ""
    mask: frozenset[str] = frozenset()
    unmask: frozenset[str] = frozenset()
    limits: Limits = Limits()
    approvers: tuple[Approvers, ...] = ()
    within: int = 0
    patience: int = 0
    break_glass: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """A refusal as the agent sees it: stable ``code``, ``rule``, sentence, hint, and the request's id."""

    code: str
    rule: str
    reason: str
    hint: str = ""
    request: str = ""
