"""Writes docs/reference/cli.md from the command line itself: commands, arguments, options, exit statuses.

Run it after changing a command; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cyclopts import App
from cyclopts.argument import Argument

from tidegate.cli.main import COMMANDS, STATUS, build

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

HEAD = """# Command line

`tidegate` reaches a running gateway only through its [HTTP API](api.md), with the login that `tidegate login` keeps in
`$TIDEGATE_HOME/credentials.json` (default `~/.config/tidegate`, mode 0600). Answers go to standard output, remarks to
standard error. `-o json` gives JSON for scripts. Colours appear only on a terminal, and control characters in
statements, names and reasons are shown as escapes. This page is generated from the commands.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    app = build()
    for group, names in COMMANDS.items():
        for name, text in names.items():
            lines += section(f"{group} {name}".strip(), text, (app[group] if group else app)[name])
    lines += ["## Exit statuses", "", "| status | meaning |", "|---|---|"]
    lines += [f"| {status} | {text} |" for status, text in STATUS.items()]
    return "\n".join(lines) + "\n"


def section(name: str, text: str, command: App) -> Iterator[str]:
    """One command."""
    found = list(command.assemble_argument_collection())
    usage = [f"tidegate {name}", *(placeholder(argument) for argument in found if argument.index is not None)]
    usage += [placeholder(argument) for argument in found if argument.index is None and argument.required]
    yield from (f"## `{' '.join(usage)}`", "", text, "")
    if found:
        yield from ("| argument | default | meaning |", "|---|---|---|")
        yield from (row(argument) for argument in found)
        yield ""


def placeholder(argument: Argument) -> str:
    """An argument as it stands in a usage line."""
    word = argument.name.lstrip("-").upper()
    if argument.index is None:
        return f"{argument.name} {word}"
    return word if argument.required else f"[{word}]"


def row(argument: Argument) -> str:
    """One argument of the table."""
    default = argument.field_info.default
    shown = (
        "" if argument.required or default in ("", None, (), False) or default is argument.field_info.empty else default
    )
    names = placeholder(argument) if argument.index is not None else ", ".join(argument.names)
    choices = argument.get_choices()
    meaning = (argument.parameter.help or "") + (f" One of {', '.join(choices)}." if choices else "")
    return f"| `{names}` | {f'`{shown}`' if str(shown) else ''} | {meaning.strip()} |"


if __name__ == "__main__":
    PAGE.write_text(page())
