"""The page and the picture of a run of the matrix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from xml.sax.saxutils import escape

from play import UNSUPPORTED, Cell, Played

PICTURE = "clients.svg"
HEAD = """# Clients

Made by `make matrix` on {date}; nothing here is written by hand.

![Passed cells for each client and server version](../images/clients.svg)

{table}

Each program does what the client's users do, twice, on equal copies of one database: directly, and through a gateway
with `customers.email` tagged, so that masks are in force, everything is recorded and the log is durable. A thing passes
if the client saw the same both times, addresses and their masks counting as equal, and no address came through. What an
ordinary policy refuses passes if it works directly and the gateway refuses it; where the text of a notification is
withheld, nothing else may differ. After every program the gateway's log is verified.

The servers are real: PostgreSQL {servers}. Where the package of a server has no client programs
(16, 14 and 13), psql, pgbench, pg_dump and pg_restore are those of 18. The programs are in
[tests/matrix/programs](../../tests/matrix/programs). No graphical client was run: what pgAdmin sends was
[captured](../../tests/matrix/captures/README.md) and is replayed.

## What failed

{failed}

## What was not tried (–)

{unsupported}

## What was tried

"""
WORDS = {
    "passed": "passed {}",
    "refused, by design": "refused {}, as they should be",
    "text withheld, by design": "passed {}, with the text of notifications withheld",
}
PASSING = re.compile(r'"request": "[^"]*"|\b[0-9a-f]{8}-[0-9a-f-]{27}(/\d+)?')
"""What differs between two refusals for the same reason."""


def write(path: Path, played: Sequence[Played]) -> None:
    """Write the page to ``path`` and the picture beside the other images."""
    path.write_text(page(played))
    (path.parent.parent / "images" / PICTURE).write_text(picture(played))


def page(played: Sequence[Played]) -> str:
    """The page in Markdown."""
    servers = versions(played)
    groups = by_client(played)
    failed = [line for group in groups.values() for line in reasons(group, lambda cell: not cell.passed)]
    unsupported = [line for group in groups.values() for line in reasons(group, lambda cell: not cell.counts)]
    head = HEAD.format(
        date=datetime.now(UTC).date(),
        table=summary(groups, servers),
        servers=", ".join(servers),
        failed="\n".join(failed) or f"Nothing: {total(played)} of {total(played)} cells passed.",
        unsupported="\n".join(unsupported) or "Nothing.",
    )
    return head + "\n".join(section(group, servers) for group in groups.values())


def versions(played: Sequence[Played]) -> list[str]:
    """The servers, in order."""
    return list(dict.fromkeys(one.server for one in played))


def total(played: Sequence[Played]) -> int:
    """How many things were tried."""
    return sum(one.score[1] for one in played)


def summary(groups: dict[str, list[Played]], servers: Sequence[str]) -> str:
    """Clients down, server versions across, passed of tried."""
    rows = [f"| passed of tried, on PostgreSQL | {' | '.join(servers)} |", f"|---|{'---|' * len(servers)}"]
    for name, group in groups.items():
        scores = {one.server: score(one) for one in group}
        rows.append(f"| [{name}](#{anchor(name)}) | {' | '.join(scores.get(server, '–') for server in servers)} |")
    return "\n".join(rows)


def score(one: Played) -> str:
    """What stands in a field: passed of tried; a dash when the client does nothing with that server."""
    passed, tried = one.score
    return (f"{passed} / {tried}" if passed == tried else f"**{passed} / {tried}**") if tried else "–"


def anchor(name: str) -> str:
    """The address of a client's heading, as code hosts make it."""
    return re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-")


def by_client(played: Sequence[Played]) -> dict[str, list[Played]]:
    """The runs of each client, in order."""
    groups: dict[str, list[Played]] = {}
    for one in played:
        groups.setdefault(one.client.name, []).append(one)
    return groups


def reasons(group: Sequence[Played], wanted: Callable[[Cell], bool]) -> list[str]:
    """A line for each reason, with what it kept from passing and on which servers."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in group:
        for cell in filter(wanted, one.cells):
            why = PASSING.sub("…", cell.reason.replace("`", "'"))
            tried = found.setdefault((cell.word, " ".join(why.split())[:300]), {})
            tried.setdefault(cell.tried, []).append(one.server)
    everything = {cell.tried for one in group for cell in one.cells}
    lines = []
    for (word, why), tried in found.items():
        where = ", ".join(dict.fromkeys(chain(*tried.values())))
        what = "everything" if tried.keys() == everything else things(tried)
        lines.append(
            f"- {group[0].client.name} on {where}: {what}: {why if word == UNSUPPORTED else f'{word}, `{why}`'}"
        )
    return lines


def section(group: Sequence[Played], servers: Sequence[str]) -> str:
    """One client: what was tried, first what came to the same on every server."""
    ran = [one for one in group if one.score[1]]
    cells = {(cell.tried, one.server): cell for one in ran for cell in one.cells}
    tried = dict.fromkeys(thing for thing, _ in cells)
    alike: dict[str, list[str]] = {}
    rows = []
    for thing in tried:
        found = [cells.get((thing, one.server)) for one in ran]
        words = {cell.word if cell else UNSUPPORTED for cell in found}
        if len(words) == 1 and (word := words.pop()) in WORDS:
            alike.setdefault(WORDS[word], []).append(thing)
        else:
            marks = " | ".join(mark(cells.get((thing, server))) for server in servers)
            rows.append(f"| {thing.replace('|', chr(92) + '|')} | {marks} |\n")
    where = "on every version" if len(ran) == len(servers) else "on " + ", ".join(one.server for one in ran)
    programs = ", ".join(dict.fromkeys(one.version for one in group))
    lines = [f"- {what.format(where)} ({len(these)}): {things(these)}\n" for what, these in alike.items()]
    table = f"\n| tried | {' | '.join(servers)} |\n|---|{'---|' * len(servers)}\n" if rows else ""
    head = f"### {group[0].client.name}\n\n{programs}; policy: {policy(group[0].client.policy)}.\n\n"
    return head + "".join(lines) + table + "".join(rows)


def things(tried: Iterable[str]) -> str:
    """Things tried, one after the other."""
    return " · ".join(tried)


def mark(cell: Cell | None) -> str:
    """What stands in a cell."""
    return "–" if cell is None or not cell.counts else "✓" if cell.passed else "✗"


def policy(name: str) -> str:
    """Where a reader finds the policy that a client was given."""
    if name == "ordinary":
        return "ordinary (read, write named rows, LISTEN)"
    return f"[{name}](../howto/{name}.md)"


def picture(played: Sequence[Played]) -> str:
    """Clients down, server versions across, passed of tried in each field."""
    servers = versions(played)
    groups = by_client(played)
    width, height = 250 + 110 * len(servers), 46 + 28 * len(groups)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="14"><title>Clients through Tidegate</title>'
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
    ]
    for column, server in enumerate(servers):
        parts.append(f'<text x="{295 + 110 * column}" y="28" text-anchor="middle" fill="#334155">{server}</text>')
    for row, (name, group) in enumerate(groups.items()):
        top = 40 + 28 * row
        parts.append(f'<text x="16" y="{top + 17}" fill="#0f172a">{escape(name)}</text>')
        for one in group:
            parts.append(_field(one, 245 + 110 * servers.index(one.server), top))
    return "\n".join([*parts, "</svg>\n"])


def _field(one: Played, left: int, top: int) -> str:
    passed, tried = one.score
    colour = (
        "#e2e8f0" if not tried else "#bbf7d0" if passed == tried else "#fde68a" if passed * 2 >= tried else "#fecaca"
    )
    return (
        f'<rect x="{left}" y="{top}" width="100" height="24" rx="4" fill="{colour}"/>'
        f'<text x="{left + 50}" y="{top + 17}" text-anchor="middle" fill="#0f172a">{score(one).strip("*")}</text>'
    )
