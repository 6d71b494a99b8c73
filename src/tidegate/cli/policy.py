"""`tidegate policy`: check rules before they count, and ask what they would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from . import screen
from .remote import connect

if TYPE_CHECKING:
    from tidegate.policy.rules import Bundle


def check(*files: Annotated[Path, Parameter(help="Policy files; they are one policy together.")]) -> None:
    """Check policy files. A fault is reported with its line and what to write instead."""
    from tidegate.policy.rules import load_bundle

    bundle = load_bundle(files)
    screen.note(f"{len(written(bundle))} rules are well formed; the policy's SHA-256:")
    print(bundle.sha256)


def status(*, output: screen.Output = "table") -> None:
    """Show which policy is in force, how another may come about, and whether the files say something else."""
    answer = connect().get("policy")
    if output == "json":
        screen.as_json(answer)
        return
    own = [rule for rule in answer["rules"] if not str(rule["id"]).startswith("tidegate.")]
    pairs = [("policy", answer["policy"]), ("rules", str(len(own))), ("configuration", answer["configuration"])]
    screen.facts([*pairs, ("activation", answer["mode"]), ("agents", "not served" if answer["locked"] else "served")])
    if answer["refused"]:
        screen.note("At its start the files said something else, which nobody approved: tidegate policy propose")


def propose(*, reason: Annotated[str, Parameter(help="Approvers and auditors read it.")] = "") -> None:
    """Propose what the policy files and tidegate.yaml say now; others approve it: tidegate approvals show ID."""
    held = connect().post("policy", "proposals", body={"reason": reason})
    screen.note(f"Proposed; it takes effect when approved by {'; '.join(held['needs'])}:")
    print(held["id"])


def written(bundle: Bundle) -> list[Mapping[str, object]]:
    """The rules that stand in files, without the built-in ones."""
    return [rule for rule in bundle.rules if not str(rule["id"]).startswith("tidegate.")]


def explain(
    statement: str,
    *,
    as_: Annotated[str, Parameter(name="--as", help="Who asks: a name, or PERSON/AGENT for a chain.")],
    on: Annotated[str, Parameter(help="The resource.")],
    output: screen.Output = "table",
) -> int:
    """Say what the running gateway would do with a statement, and why. Exit status 1 when it would be refused."""
    answer = connect().post("policy", "explain", body={"identity": as_, "resource": on, "statement": statement})
    if output == "json":
        screen.as_json(answer)
    else:
        for part in answer["operations"]:
            screen.statement(part["statement"], indent=0)
            facts = [("verdict", part["effect"]), ("rules", ", ".join(part["rules"])), ("because", part["because"])]
            screen.facts([*facts, ("masks", ", ".join(part["mask"])), ("unmasks", ", ".join(part["unmask"]))])
            for line in part["lines"]:
                screen.console().print(screen.word(f"  {line}"))
    return 1 if any(part["effect"] == "refuse" for part in answer["operations"]) else 0
