"""Draw docs/images/demo.svg: parts of what `tidegate demo --once` really prints, as a terminal shows it.

The demo runs on a pseudo-terminal, so colours and widths are a terminal's. Run it after changing the demo.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tidegate.cli.demo.desk import everything

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "demo.svg"
COLUMNS = 112
STYLE = re.compile(r"\x1b\[[0-9;]*m")
FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

PARTS = {
    "The agent reads": ("SELECT id, email", "✓ e-mail", "✓ none of"),
    "The agent is refused": ("DROP TABLE", "DELETE FROM orders;"),
    "A bulk change waits": ("=> UPDATE orders SET", "bob $ tidegate approvals show", "approvals approve", "now gets"),
    "The same road to a cache": ("cache> HGETALL",),
    "The same road to an API": ("customers/43", "✓ no clear"),
    "One byte is flipped": ("auditor $",),
}  # fmt: skip
"""Chapters that the picture shows, and what the steps that it shows of them contain."""


def main() -> int:
    """Run the demo and draw; exit status 1 when it does not keep its promises."""
    status, output = played()
    if status:
        print(STYLE.sub("", output)[-2000:], file=sys.stderr)
        return 1
    PICTURE.write_text(drawn(chosen(output)))
    return 0


def played() -> tuple[int, str]:
    """The demo's exit status and everything that it printed."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    command = [sys.executable, "-m", "tidegate", "demo", "--once"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env=environment)
    os.close(writer)
    output = everything(reader)
    return process.wait(), output


def chosen(output: str) -> str:
    """The chapters and steps of ``PARTS``; steps are separated by empty lines."""
    kept: list[str] = []
    wanted: tuple[str, ...] = ()
    for step in steps(output):
        plain = STYLE.sub("", step)
        if re.match(r"\d+  ", plain):
            wanted = next((words for title, words in PARTS.items() if title in plain), ())
            if wanted:
                kept.append(step)
        elif any(word in plain for word in wanted):
            kept.append(step)
    return "\n\n".join(kept)


def steps(output: str) -> list[str]:
    """Parts of the page between empty lines; an indented empty line belongs to the output that it stands in."""
    found: list[str] = [""]
    for line in output.split("\n"):
        if STYLE.sub("", line):
            found[-1] += f"{line}\n"
        else:
            found.append("")
    return [step.rstrip("\n") for step in found if step]


def drawn(text: str) -> str:
    """An SVG picture of a terminal; its font is the reader's own, so that nothing is fetched."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text), soft_wrap=True)
    picture = console.export_svg(title="tidegate demo", theme=MONOKAI)
    return FONT.sub("", picture).replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas")


if __name__ == "__main__":
    sys.exit(main())
