"""What a stop without farewell leaves open, and whether what is left hangs together.

The tree below the last checkpoint, the leaves in the write-ahead log and the log key have to tell one story. Intents
whose outcome is missing and sessions whose end is missing are closed by leaves of the next start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tidegate.errors import IntegrityError
from tidegate.model.event import Json

from .scan import Scan
from .shard import Shard

_BEGINNINGS = frozenset({"gw.start", "log.recovered", "log.genesis"})


def check(found: Scan, shard: Shard, *, established: bool) -> int:
    """The number of leaves that were recovered.

    Raises IntegrityError: status 66 when leaves are missing that a checkpoint signs, 65 when leaves contradict.
    """
    leaves, sealed = found.leaves(), shard.size
    size = leaves[-1][0] + 1 if leaves else 0
    if sealed > size or (established and not size):
        raise IntegrityError(
            f"The checkpoint signs {sealed} leaves, but only {size} are there.",
            hint="The data directory was cut back or restored from an old copy. Keep it, and restore the newest copy.",
            status=66,
        )
    first = leaves[0][0] if leaves else 0
    if first > sealed:
        raise IntegrityError(f"Leaves {sealed} to {first - 1} are neither in the tree nor in the write-ahead log.")
    for (index, record), entry in zip(leaves, shard.entries(first, sealed), strict=False):
        if record.payload != entry:
            raise IntegrityError(f"Leaf {index} in the write-ahead log is not leaf {index} of the tree.")
    return size


@dataclass(slots=True)
class Ends:
    """What is open: intents by session, and the last counter of each open session."""

    intents: dict[str, list[int]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def closings(self) -> Iterator[tuple[str, dict[str, Json]]]:
        """Kind and fields of the leaves that close everything, session by session."""
        for sid, counter in self.counters.items():
            for index in self.intents.get(sid, []):
                counter += 1
                closing: dict[str, Json] = {"of": index, "st": "indeterminate", "code": "gateway_crash"}
                yield "op.outcome", {"sid": sid, "n": counter, **closing}
            counter += 1
            yield "session.end", {"sid": sid, "n": counter, "total": counter, "reason": "gateway_crash"}


def open_ends(newest_first: Iterable[Mapping[str, Json]]) -> Ends:
    """What the leaves since the last start leave open."""
    ends, closed, ended = Ends(), set(), set()
    for leaf in newest_first:
        kind, sid = leaf["k"], leaf.get("sid")
        if kind in _BEGINNINGS:
            break
        if not isinstance(sid, str):
            continue
        counter = leaf.get("n")
        if kind == "session.end":
            ended.add(sid)
        if sid not in ended:
            ends.counters.setdefault(sid, counter if isinstance(counter, int) else 0)
        if kind == "op.outcome":
            closed.add(leaf.get("of"))
        elif kind == "op.intent" and leaf["i"] not in closed and sid not in ended:
            ends.intents.setdefault(sid, []).insert(0, int(str(leaf["i"])))
    return ends
