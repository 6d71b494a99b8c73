"""`tidegate audit`: check a log offline, or look at its events through the gateway."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from . import screen
from .remote import connect

_QUIET = frozenset({"v", "i", "k", "t", "m", "b", "gw", "c", "n"})


def verify(
    directory: Annotated[Path, Parameter(help="The gateway's data directory, or a copy of it.")],
    *,
    trust: Annotated[Path | None, Parameter(help="Trust file kept outside the data directory.")] = None,
    seen: Annotated[tuple[Path, ...], Parameter(help="A checkpoint you kept; may be given several times.")] = (),
    output: screen.Output = "table",
) -> int:
    """Check that the log is complete and unaltered. Needs no gateway and nothing from its operator."""
    from tidegate.audit.verify import verify as check

    report = check(directory, trust=trust, seen=seen)
    if output == "json":
        screen.as_json(_report(report))
    else:
        _print(report)
    return int(report.status)


def tail(
    *,
    kind: Annotated[str, Parameter(help="Only this kind of event.")] = "",
    worker: Annotated[int | None, Parameter(help="Only the log of this worker; 0 is the gateway's own.")] = None,
    limit: int = 20,
    output: screen.Output = "table",
) -> None:
    """Show the newest events, oldest of them first, of all logs of the gateway."""
    leaves = list(connect().every("audit", "leaves", limit=limit, kind=kind or None, worker=worker))[::-1]
    if output == "json":
        screen.as_json(leaves)
        return
    now = time.time_ns() // 1000
    logs = {leaf["gw"] for leaf in leaves}
    cells = [
        [*([leaf["gw"]] if len(logs) > 1 else []), str(leaf["i"]), screen.when(leaf["t"], now), leaf["k"], _rest(leaf)]
        for leaf in leaves
    ]
    screen.table((*(["log"] if len(logs) > 1 else []), "leaf", "time", "kind", "what"), cells, empty="No events.")


def show(
    index: int,
    *,
    worker: Annotated[int, Parameter(help="The worker whose log it is in; 0 is the gateway's own.")] = 0,
    output: screen.Output = "table",
) -> None:
    """Show one event, and what its sealed parts say. Opening them is an event itself."""
    answer = connect().get("audit", "leaves", str(index), worker=worker or None)
    if output == "json":
        screen.as_json(answer)
        return
    now = time.time_ns() // 1000
    leaf = answer["leaf"]
    pairs = [("leaf", str(leaf["i"])), ("time", screen.when(leaf["t"], now)), ("kind", leaf["k"])]
    pairs += [(name, _value(value)) for name, value in leaf.items() if name not in _QUIET]
    pairs += [(f"{name} (sealed)", text) for name, text in answer["opened"].items()]
    pairs += [(f"{name} (closed)", why) for name, why in answer["closed"].items()]
    screen.facts([*pairs, ("leaf hash", answer["hash"])])


def _rest(leaf: dict[str, Any]) -> str:
    """What the leaf says besides its place, shortened: `audit show` has all of it."""
    told = ((name, _value(value)) for name, value in leaf.items() if name not in _QUIET and value not in ("", [], {}))
    return "  ".join(f"{name}={text if len(text) <= 48 else f'{text[:47]}…'}" for name, text in told)


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _report(report: Any) -> dict[str, object]:
    return {
        "status": report.status,
        "checks": [{"ok": ok, "name": name, "text": text} for ok, name, text in report.checks],
        "findings": [str(finding) for finding in report.findings],
        "unproven": list(report.unproven),
        "members": [{"origin": origin, "size": size, "root": root} for origin, size, root in report.members],
    }


def _print(report: Any) -> None:
    screen.table(
        ("", "check", ""),
        [("ok" if ok else "error", name, text) for ok, name, text in report.checks],
        empty="Nothing to check.",
    )
    told = {text for _, _, text in report.checks}
    for finding in report.findings:
        if str(finding) not in told:
            screen.console().print(screen.word(f"found: {finding}"))
    for sentence in report.unproven:
        screen.console().print(screen.word(f"not proven: {sentence}"))
