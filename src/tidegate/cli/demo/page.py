"""How the demo reads: numbered chapters, commands as typed, their real output, and what was checked.

Everything from outside becomes a Text, never markup, with control characters made visible. Colours appear only on a
terminal; lines fold at the width of the window, at most 110 columns.
"""

from __future__ import annotations

import re
import sys

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from tidegate.errors import TidegateError
from tidegate.web.shown import safe

WIDEST = 125
"""Columns of the page at most."""

INDENT = 5
"""Columns before what came back."""

_PAINT = (
    (re.compile(r"\[masked(?::[^\]]*)?\]"), "magenta"),
    (re.compile(r"^(ERROR|FATAL):", re.MULTILINE), "bold red"),
    (re.compile(r"^(DETAIL|HINT|NOTICE):", re.MULTILINE), "yellow"),
)


class Page:
    """Standard output of the demo; ``inner`` is the width of what came back, ``colour`` whether there are colours."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self._console = Console(highlight=False, markup=False, emoji=False, width=None if terminal else WIDEST)
        self._console.width = min(self._console.width, WIDEST)
        self.inner = self._console.width - INDENT
        self.colour = self._console.color_system is not None
        self.chapters = 0
        self.checks = 0

    def title(self, name: str, line: str) -> None:
        """The head of the page."""
        self._console.print()
        self._console.print(Text.assemble((f" {name} ", "bold reverse"), "  ", line))

    def chapter(self, name: str, line: str) -> None:
        """A numbered chapter and one sentence on what it shows."""
        self.chapters += 1
        self._console.print()
        self._console.print(Rule(Text(f"{self.chapters}  {name}", style="bold"), align="left", style="cyan"))
        self.say(line)

    def say(self, text: str) -> None:
        """One sentence of explanation."""
        self._folded(Text(text, style="dim"), Text("   "))

    def end(self, text: str) -> None:
        """The last sentence, below the ``^C`` that a terminal shows."""
        self._console.print()
        self.say(text)

    def typed(self, who: str, prompt: str, command: str) -> None:
        """A command exactly as typed, with who types it."""
        self._console.print()
        head = Text.assemble("  ", (who, "bold cyan"), (f" {prompt} ", "dim"))
        self._folded(Text(safe(command, lines=True), style="bold"), head)

    def shown(self, output: str) -> None:
        """What came back, as plain text from outside."""
        text = Text(safe(output.strip("\n"), lines=True))
        for pattern, style in _PAINT:
            text.highlight_regex(pattern, style)
        self._print(text)

    def screen(self, output: str) -> None:
        """What a command of ours wrote on a terminal as wide as ``inner``, colours included."""
        self._print(Text.from_ansi(output.strip("\n")))

    def _print(self, text: Text) -> None:
        self._folded(text, Text(" " * INDENT))

    def _folded(self, text: Text, head: Text) -> None:
        """Print ``text`` after ``head``, every further line as far in, without blanks at the end of lines."""
        text.overflow = "fold"
        for line in text.wrap(self._console, self._console.width - len(head)):
            line.rstrip()
            self._console.print(head + line, soft_wrap=True)
            head = Text(" " * len(head))

    def promise(self, kept: bool, text: str, answer: str = "") -> None:
        """State that ``text`` is true. Raises TidegateError when it is not, with the answer that shows it."""
        if not kept:
            hint = f"What came back: {answer.strip()}" if answer else ""
            raise TidegateError(f"a promise was not kept: {text}", hint=hint, code="demo.promise")
        self.checks += 1
        self._console.print(Text.assemble(("   ✓ ", "bold green"), (text, "green")))

    def recipe(self, label: str, lines: list[str]) -> None:
        """Lines to copy and paste: never folded, so that a copied line stays one."""
        self._console.print()
        self.say(label)
        for line in lines:
            self._console.print(Text(f"     {line}", style="bold"), soft_wrap=True)
