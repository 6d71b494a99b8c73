"""The chart of the benchmark: bars of throughput and of CPU time by way, as an SVG that follows the reader's theme.

It is drawn from the same windows as the table, and carries its own background, so that text never stands on a colour
that it cannot be read on.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape

from claims import Rounds, costs, rates

COLOURS = {
    "direct": ("#8a94a6", "#8995aa"),
    "haproxy": ("#c98a1b", "#d9a441"),
    "pgbouncer": ("#3b78c4", "#6aa3e8"),
    "tidegate": ("#14746f", "#3fb8ae"),
}
"""The colour of each way, for a light page and for a dark one."""

BAR, GAP, LEFT, WIDTH, TOP = 17, 16, 96, 330, 92
Panel = Mapping[str, Mapping[str, float]]
"""A value for each way, by load."""


def chart(measured: Mapping[str, Rounds]) -> str:
    """Two panels side by side: transactions a second, and CPU microseconds of the proxy for each."""
    speed = {
        load: {way: statistics.median(rates(found)) for way, found in rounds.items()}
        for load, rounds in measured.items()
    }
    cost = {
        load: {way: statistics.median(costs(found)) for way, found in rounds.items() if way != "direct"}
        for load, rounds in measured.items()
    }
    left, tall = _panel(speed, LEFT + 64, "transactions a second (longer is better)")
    right, low = _panel(cost, LEFT * 2 + WIDTH + 216, "CPU µs of the proxy for each (shorter is better)")
    height = max(tall, low) + 14
    total = LEFT * 2 + WIDTH * 2 + 296
    return "\n".join([*_head(total, height), *_legend(), *left, *right, "</svg>"]) + "\n"


def _head(width: int, height: int) -> list[str]:
    light = "".join(f".{way} {{ fill: {colour[0]}; }} " for way, colour in COLOURS.items())
    dark = "".join(f".{way} {{ fill: {colour[1]}; }} " for way, colour in COLOURS.items())
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title" '
        "font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\">",
        '<title id="title">Throughput and CPU time of each way to the database, as in the table</title>',
        "<style>",
        f".page {{ fill: #ffffff; }} .ink {{ fill: #16233a; }} .soft {{ fill: #53627a; }} {light}",
        "text { font-size: 13px; } .h { font-size: 15px; font-weight: 700; } .v { font-size: 12px; }",
        "@media (prefers-color-scheme: dark) {",
        f".page {{ fill: #0f1622; }} .ink {{ fill: #e8eef7; }} .soft {{ fill: #a3b1c6; }} {dark}",
        "}",
        "</style>",
        f'<rect class="page" width="{width}" height="{height}" rx="8"/>',
    ]


def _legend() -> list[str]:
    marks = []
    for index, way in enumerate(COLOURS):
        x = 24 + index * 120
        marks.append(f'<rect class="{way}" x="{x}" y="20" width="14" height="14" rx="2"/>')
        marks.append(f'<text class="ink" x="{x + 20}" y="32">{way}</text>')
    return marks


def _panel(values: Panel, left: int, title: str) -> tuple[Sequence[str], int]:
    """The marks of one panel, and where it ends."""
    most = max(value for ways in values.values() for value in ways.values())
    marks, y = [f'<text class="ink h" x="{left - LEFT - 40}" y="{TOP - 22}">{escape(title)}</text>'], TOP
    for load, ways in values.items():
        top, middle = y, y + len(ways) * BAR / 2 + 4
        lines = load.removeprefix("read, ").split(", ")
        for index, line in enumerate(lines):
            at = middle + (index - (len(lines) - 1) / 2) * 15
            marks.append(f'<text class="soft" x="{left - 10}" y="{at:.0f}" text-anchor="end">{escape(line)}</text>')
        for way, value in ways.items():
            length = max(value / most * WIDTH, 1)
            marks.append(f'<rect class="{way}" x="{left}" y="{y + 1}" width="{length:.1f}" height="{BAR - 3}" rx="2"/>')
            marks.append(f'<text class="ink v" x="{left + length + 6:.1f}" y="{y + 12}">{value:,.0f}</text>')
            y += BAR
        y = top + len(COLOURS) * BAR + GAP
    return marks, y
