"""`tidegate agents`: what acts for people, and whose tokens of other issuers are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from tidegate.errors import AgentError

from . import screen
from .people import Groups
from .remote import connect

Owner = Annotated[str, Parameter(help="The person it acts for; yourself if left out.")]
Issuer = Annotated[str, Parameter(help="Whose tokens are its credential: a name under `workloads` in tidegate.yaml.")]
Subject = Annotated[str, Parameter(help="`sub` of its tokens, such as system:serviceaccount:prod:bot.")]
Claims = Annotated[
    tuple[str, ...],
    Parameter(name="--claim", help="CLAIM=PATTERN of its tokens, such as repository=org/app; several times."),
]


def add(
    name: str, *, owner: Owner = "", group: Groups = (), issuer: Issuer = "", subject: Subject = "", claim: Claims = ()
) -> None:
    """Add an agent; it is in the group `agents`, and only an administrator gives it more, or binds it to an issuer."""
    new(name, "agent", owner, group, issuer, conditions(subject, claim))
    screen.note(
        f"{name} connects with its own token from {issuer}."
        if issuer
        else f"Mint its tokens with: tidegate token create --agent {name}"
    )


def show(name: str, *, output: screen.Output = "table") -> None:
    """Show owner, groups and bindings: whose tokens of other issuers are its credential."""
    answer = connect().get("agents", name)
    if output == "json":
        screen.as_json(answer)
        return
    columns = ("name", "kind", "owner", "groups", "state", "subject")
    screen.facts(list(zip(columns, screen.dig(answer, *columns), strict=True)))
    rows = [
        [each["id"], each["issuer"], " ".join(f"{claim}={pattern}" for claim, pattern in each["conditions"].items())]
        for each in answer["bindings"]
    ]
    screen.table(
        ("binding", "issuer", "conditions"), rows, empty=f"No bindings: tidegate {answer['kind']}s bind {name}"
    )


def bind(name: str, *, issuer: Issuer, subject: Subject = "", claim: Claims = ()) -> None:
    """Make an issuer's tokens its credential: those whose claims meet every condition. Needs operate.

    In a pattern * stands for any text without / and :. One claim that names the workload itself, such as sub or
    repository, must be written without *.
    """
    answer = connect().post(
        "agents", name, "bindings", body={"issuer": issuer, "conditions": conditions(subject, claim)}
    )
    screen.note(f"{name} connects with its own token from {issuer}; binding {answer['id']}.")


def unbind(id: Annotated[str, Parameter(help="Of the binding, as shown by `show`.")]) -> None:
    """End a binding at once, with the sessions that came by it: of your own agents, or of any with operate."""
    answer = connect().delete("bindings", id)
    screen.note(f"Tokens of {answer['issuer']} are not its any more.")


def disable(name: str) -> None:
    """Disable an agent or service, your own or any with the ability to operate: its sessions end at once."""
    connect().post("agents", name, "disable")
    screen.note(f"{name} is disabled.")


def listing(*, output: screen.Output = "table") -> None:
    """List agents: your own, or all of them for who observes the gateway."""
    members("agent", output)


def new(name: str, kind: str, owner: str, group: Sequence[str], issuer: str, wanted: dict[str, str]) -> None:
    """Add an agent or service. Raises AgentError for conditions without an issuer."""
    if wanted and not issuer:
        raise AgentError("--subject and --claim say which tokens of --issuer", code="request.binding")
    body = {"name": name, "kind": kind, "owner": owner, "groups": list(group), "issuer": issuer, "conditions": wanted}
    answer = connect().post("agents", body=body)
    screen.note(f"{answer['owner']} answers for {answer['name']}.")


def members(kind: str, output: screen.Output) -> None:
    """Agents or services, as a table or JSON."""
    rows = [row for row in connect().get("agents")["items"] if row["kind"] == kind]
    if output == "json":
        screen.as_json(rows)
        return
    columns = ("name", "owner", "groups", "state")
    cells = [screen.dig(row, *columns) for row in rows]
    screen.table(columns, cells, empty=f"No {kind}s yet: tidegate {kind}s add NAME")


def conditions(subject: str, claims: Sequence[str]) -> dict[str, str]:
    """What --subject and --claim say. Raises AgentError for a claim without pattern, or one that is there twice."""
    pairs = [("sub", subject)] if subject else []
    pairs += [(name, pattern) for name, _, pattern in (claim.partition("=") for claim in claims)]
    if any(not name or not pattern for name, pattern in pairs) or len(dict(pairs)) < len(pairs):
        raise AgentError(
            "this is not a condition on tokens", hint="Each claim once: --claim CLAIM=PATTERN", code="request.binding"
        )
    return dict(pairs)
