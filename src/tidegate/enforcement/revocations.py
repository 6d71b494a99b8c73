"""What was revoked, rebuilt from the audit log at start: deleting a row of the store brings nothing back.

Single tokens, grants and identities end by their id. The kill switch draws a bar: whatever was given before it to an
identity, on a resource, or at all, opens nothing any more, also what nobody has listed yet; what is given afterwards
does. Both travel between processes as words of plain text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tidegate.model.event import Json

LONGEST_GRANT = 24 * 3600 * 1_000_000
"""No grant lives longer than this (microseconds)."""

NAMED_BY = {"token.revoked": "jti", "grant.revoked": "gid", "identity.disabled": "sub", "cred.revoked": "cred"}
"""Leaf kind -> the field that names what no longer opens anything."""

BOUND = "identity.bound"
"""The kind of leaf that says what somebody is; the newest one counts."""

ENDING = frozenset({*NAMED_BY, "kill.ordered", BOUND})
"""The kinds of leaves that a start needs."""

SUBJECT, RESOURCE, ALL = "subject", "resource", "all"
"""What a bar is drawn across."""

_BAR, _ROW = "bar", "row"


@dataclass(frozen=True, slots=True)
class Bar:
    """Drawn by leaf ``leaf`` of the gateway's own log at ``moment`` (Unix microseconds); no ``id`` for ``ALL``."""

    of: str
    id: str
    leaf: int
    moment: int

    @property
    def word(self) -> str:
        """The bar as one of the words of ``Revocations``; ids have no blanks."""
        return f"{_BAR} {self.of} {self.id} {self.leaf} {self.moment}"


def row(subject: str, leaf: int) -> str:
    """A word that says: what the store had of somebody before leaf ``leaf`` counts no more."""
    return f"{_ROW} {subject} {leaf}"


class Revocations:
    """Ids of revoked tokens and grants, subjects of disabled identities, bars, and how old what is kept may be."""

    def __init__(self, leaves: Iterable[Mapping[str, Json]] = ()) -> None:
        self._ids: set[str] = set()
        self._bars: dict[tuple[str, str], Bar] = {}
        self._rows: dict[str, int] = {}
        for leaf in leaves:
            name = NAMED_BY.get(str(leaf.get("k")))
            if name is not None:
                self.add(str(leaf.get(name)))
            if leaf.get("k") == BOUND and isinstance(leaf.get("groups"), list):
                self.add(row(str(leaf["sub"]), int(str(leaf["i"]))))
            if leaf.get("k") == "kill.ordered" and leaf.get("of") in (SUBJECT, RESOURCE, ALL):
                bar = Bar(str(leaf["of"]), str(leaf.get("id", "")), int(str(leaf["i"])), int(str(leaf["t"])))
                self.add(bar.word)

    def add(self, word: str) -> None:
        """From now on nothing opens with this id, with what was given before this bar, or by a row before this one."""
        if word.startswith(f"{_ROW} "):
            _, subject, newest = word.split(" ")
            self._rows[subject] = max(self._rows.get(subject, 0), int(newest))
            return
        if not word.startswith(f"{_BAR} "):
            self._ids.add(word)
            return
        _, of, id, leaf, moment = word.split(" ")
        bar = Bar(of, id, int(leaf), int(moment))
        last = self._bars.get((of, id))
        if last is None or last.leaf < bar.leaf:
            self._bars[of, id] = bar

    @property
    def anybody(self) -> bool:
        """Whether the log knows of anybody, whatever the store has."""
        return bool(self._rows)

    def outdated(self, subject: str, leaf: int) -> bool:
        """Whether a row that leaf ``leaf`` stands for is older than what the log says of somebody: it was put back."""
        return leaf < self._rows.get(subject, 0)

    def barred(self, chain: Collection[str], resource: str, *, issued: int, leaf: int | None = None) -> bool:
        """Whether something was given before a bar across its chain, its resource, or everything.

        ``leaf`` is that of its grant in the gateway's own log. What has none, as a credential of somebody else, goes by
        ``issued`` (Unix seconds), and the second of the bar counts as before it. A login has no ``resource``.
        """
        across = [(SUBJECT, subject) for subject in chain]
        across += [(RESOURCE, resource), (ALL, "")] if resource else []
        bars = [self._bars[each] for each in across if each in self._bars]
        if leaf is not None:
            return any(leaf < bar.leaf for bar in bars)
        return any(issued <= bar.moment // 1_000_000 for bar in bars)

    def __contains__(self, id: object) -> bool:
        return bool(id) and id in self._ids

    def __iter__(self) -> Iterator[str]:
        yield from self._ids
        yield from (bar.word for bar in self._bars.values())
        yield from (row(subject, leaf) for subject, leaf in self._rows.items())
