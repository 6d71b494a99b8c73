"""`tidegate env`: variables for a shell in which any native client finds a resource. They name files, never a token."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from typing import Annotated, Literal

from cyclopts import Parameter

from . import credentials, screen
from .connect import Permit, found, wanted
from .handover import Handover, lasting_directory

Shell = Literal["sh", "fish", "powershell"]

_SINGLE = "'\u2018\u2019\u201a\u201b"
"""What PowerShell takes for a single quote (about_Quoting_Rules; the language specification, section 2.3.5.2)."""


def env(
    resource: str,
    *,
    agent: Annotated[str, Parameter(help="The agent of yours that acts; yourself if left out.")] = "",
    for_: Annotated[str, Parameter(name="--for", help="How long: 15m, 8h; policy may allow less.")] = "1h",
    reason: Annotated[str, Parameter(help="What it is for; approvers and auditors read it.")] = "",
    shell: Annotated[Shell | None, Parameter(help="Whose language; yours if left out.")] = None,
    json: Annotated[bool, Parameter(help="Print the variables as JSON.", negative="")] = False,
    end: Annotated[bool, Parameter(help="Remove the files and print what unsets the variables.", negative="")] = False,
) -> None:
    """Print what to evaluate: eval "$(tidegate env RESOURCE)". Run it again when the token has expired."""
    way = found(resource, agent)
    directory = lasting_directory(credentials.home(), resource, agent)
    handover = Handover(way, directory)
    cleared = list(way.recipe.unset)
    if end:
        variables, cleared = dict[str, str](), [*cleared, *handover.variables]
        shutil.rmtree(directory)
    else:
        life = wanted(way, for_)
        expires = Permit(way, life, reason).obtain(handover, life)
        variables = handover.variables
        now = time.time_ns() // 1000
        screen.note(f"{way.title} may connect to {resource} until {screen.when(expires * 1_000_000, now)}.")
    if json:
        screen.as_json({"environment": variables, "unset": cleared})
        return
    language = shell or own_shell(os.environ.get("SHELL", ""))
    for line in script(language, variables, cleared):
        print(line)


def own_shell(path: str) -> Shell:
    """The language of the shell at ``path``."""
    known: dict[str, Shell] = {"fish": "fish", "pwsh": "powershell", "powershell": "powershell"}
    return known.get(path.rpartition("/")[2], "sh")


def script(shell: Shell, variables: dict[str, str], cleared: list[str]) -> list[str]:
    """The lines that set and unset variables; no value can become anything but a value."""
    match shell:
        case "sh":
            sets = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
            return [*(f"unset {name}" for name in cleared), *sets]
        case "fish":
            sets = [f"set -gx {name} {_fish(value)}" for name, value in variables.items()]
            return [*(f"set -e {name}" for name in cleared), *sets]
        case "powershell":
            sets = [f"$Env:{name} = {_powershell(value)}" for name, value in variables.items()]
            return [*(f"Remove-Item Env:{name} -ErrorAction Ignore" for name in cleared), *sets]


def _fish(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(value: str) -> str:
    return "'" + "".join(each * 2 if each in _SINGLE else each for each in value) + "'"
