"""How the command line shows things: aligned tables, local times, highlighted statements, or JSON.

Everything from outside passes ``safe`` and becomes a Text, never markup, so that no statement or name can steer the
terminal. Colours appear only on a terminal. ``rich`` is loaded when something is shown, not before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from tidegate.web.shown import safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Output = Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"], help="How to show the answer.")]
"""The option that every command with an answer has."""

STYLES = {
    "allow": "green", "approved": "green", "used": "green", "ok": "green", "active": "green", "live": "green",
    "hold": "yellow", "waiting": "yellow",
    "refuse": "red", "refused": "red", "rejected": "red", "revoked": "red", "killed": "red", "error": "red",
}  # fmt: skip
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@cache
def console() -> Console:
    """Standard output."""
    from rich.console import Console

    plain = not sys.stdout.isatty()
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=plain, width=None if not plain else 4096)


def note(text: str) -> None:
    """One line for the person, on standard error, so that standard output stays what was asked for."""
    print(safe(text), file=sys.stderr)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Say on standard error that something takes a while, and on a terminal show that it still does."""
    if not sys.stderr.isatty():
        note(f"{text} ...")
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False).status(safe(text)):
        yield


def as_json(value: object) -> None:
    """The answer as JSON: ASCII only, so that nothing in it can steer a terminal."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """An aligned table without lines; ``empty`` is said on standard error when there are no rows."""
    from rich.table import Table

    cells = [[word(cell) for cell in row] for row in rows]
    if not cells:
        note(empty)
        return
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        shown.add_column(name.upper(), overflow="fold")
    for row in cells:
        shown.add_row(*row)
    with console().capture() as drawn:
        console().print(shown)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Name and value, one a line; pairs without a value are left out."""
    from rich.text import Text

    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        console().print(Text.assemble((f"{name:<{width}}  ", "dim"), word(value)))


def indented(text: str, indent: int) -> None:
    """One line of outside text, indented also where it is wrapped."""
    from rich.padding import Padding

    console().print(Padding(word(text), (0, 0, 0, indent), expand=False))


def word(text: str) -> Text:
    """One line of outside text, coloured if it is a state."""
    from rich.text import Text

    return Text(safe(text), style=STYLES.get(text, ""))


def statement(text: str, *, indent: int = 2) -> None:
    """The exact statement, highlighted on a terminal; its own line breaks are kept."""
    from rich.padding import Padding

    clean = safe(text, lines=True)
    if not console().is_terminal:
        print("\n".join(" " * indent + line for line in clean.split("\n")))
        return
    from rich.syntax import Syntax

    shown = Syntax(clean, "sql", theme="ansi_dark", background_color="default", word_wrap=True)
    console().print(Padding(shown, (0, 0, 0, indent)))


def when(micros: int | None, now: int) -> str:
    """A time (Unix microseconds) in local time with its distance from ``now``; empty for none."""
    if not micros:
        return ""
    stamp = datetime.fromtimestamp(micros / 1e6).astimezone()
    return f"{stamp:%Y-%m-%d %H:%M:%S} ({age(micros, now)})"


def age(micros: int, now: int) -> str:
    """``3m 20s ago`` or ``in 2h``; both times in Unix microseconds."""
    seconds = abs(now - micros) // 1_000_000
    if not seconds:
        return "now"
    return f"in {duration(seconds)}" if micros > now else f"{duration(seconds)} ago"


def duration(seconds: int) -> str:
    """``14m 58s``, ``2h 5m``, ``8h``: the two largest units, rounded down."""
    for (size, unit), (smaller, its_unit) in pairwise(_STEPS):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size}{unit}" + (f" {rest}{its_unit}" if rest else "")
    return f"{seconds}s"


def dig(row: Mapping[str, Any], *names: str) -> list[str]:
    """The named members of a row of the API as text; an absent one is empty, a list is joined."""
    values = [row.get(name) for name in names]
    return [", ".join(map(str, v)) if isinstance(v, list) else "" if v is None else str(v) for v in values]
