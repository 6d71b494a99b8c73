"""What is claimed of the speed, and whether the figures of a run bear it out. Pure arithmetic.

A figure is the median over the rounds of a run; where it is a ratio, both its parts were measured in the same round.
A target has a limit that counts and an aim beyond it; either is an upper bound (a cost) or a lower one (a rate).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """``figure <= limit`` if ``most``, else ``figure >= limit``; ``aim`` is what would be better still."""

    limit: float
    most: bool
    unit: str = "×"
    aim: float | None = None

    def met(self, figure: float, bound: float | None = None) -> bool:
        """Whether a figure keeps to the limit, or to another bound."""
        bound = self.limit if bound is None else bound
        return figure <= bound if self.most else figure >= bound

    def verdict(self, figure: float) -> str:
        """``met``, ``met, and the aim``, or ``missed`` with the factor between figure and limit."""
        if self.met(figure):
            return "met, and the aim" if self.aim is not None and self.met(figure, self.aim) else "met"
        low, high = sorted((figure, self.limit))
        return f"missed by {shown(high / low, '×') if low > 0 else 'any factor'}"

    def __str__(self) -> str:
        aim = f" ({shown(self.aim, self.unit)})" if self.aim is not None else ""
        return f"{'≤' if self.most else '≥'} {shown(self.limit, self.unit)}{aim}"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table of targets: a figure of each round, and the share of the machine that others used."""

    name: str
    target: Target
    figures: Sequence[float]
    foreign: float

    @property
    def figure(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.figures)

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        return self.target.verdict(self.figure)


@dataclass(frozen=True, slots=True)
class Window:
    """What one way did in one window: ``rate`` a second, ``cost`` in CPU microseconds each, ``foreign`` 0 to 1."""

    rate: float
    cost: float
    foreign: float


Rounds = dict[str, list[Window]]
"""The windows of each way, one a round."""


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The quotient within each round."""
    return [one / other if other else float("inf") for one, other in zip(above, below, strict=True)]


def rates(windows: Sequence[Window]) -> list[float]:
    """A second, by round."""
    return [window.rate for window in windows]


def costs(windows: Sequence[Window]) -> list[float]:
    """CPU microseconds each, by round."""
    return [window.cost for window in windows]


def disturbed(*ways: Sequence[Window]) -> float:
    """The median share of the machine that others used while these ways were measured."""
    return statistics.median([window.foreign for windows in ways for window in windows])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all are not above (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def shown(value: float, unit: str) -> str:
    """A figure with three digits and its unit."""
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number}×" if unit == "×" else f"{number} {unit}"
