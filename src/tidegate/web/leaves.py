"""Finding leaves: by session, or from the newest back. Blocking; call from a thread, which the log's readers allow."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from tidegate.audit.log import Log

PATIENCE = 5_000
"""Leaves that one request looks at when it filters; the cursor goes on from there."""


def of_session(log: Log, sid: str, started: int) -> list[dict[str, Any]]:
    """The leaves of a session that began at ``started`` (Unix microseconds), in order, up to its last.

    Should the wall clock have been set back in between, the search by time misses the first leaf, and then the whole
    log is read: the session's own counter tells.
    """
    size = log.size
    found = list(_until_end(log, sid, bisect_left(range(size), started, key=lambda index: _time(log, index)), size))
    if found and found[0].get("n") == 1:
        return found
    return list(_until_end(log, sid, 0, size))


def newest(log: Log, before: int | None, kind: str | None, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """Up to ``limit`` leaves below index ``before``, newest first, and the index below which to go on, if any."""
    stop = log.size if before is None else min(before, log.size)
    last = max(0, stop - PATIENCE)
    fitting = (leaf for leaf in _backwards(log, last, stop) if kind is None or leaf["k"] == kind)
    found = list(islice(fitting, limit))
    rest = int(found[-1]["i"]) if len(found) == limit else last
    return found, rest or None


def _backwards(log: Log, start: int, stop: int) -> Iterator[dict[str, Any]]:
    while stop > start:
        first = max(start, (stop - 1) // 256 * 256)
        yield from map(orjson.loads, reversed(list(log.leaves(first, stop))))
        stop = first


def _until_end(log: Log, sid: str, start: int, stop: int) -> Iterator[dict[str, Any]]:
    mark = sid.encode()
    for entry in log.leaves(start, stop):
        if mark not in entry:
            continue
        leaf: dict[str, Any] = orjson.loads(entry)
        if leaf.get("sid") == sid:
            yield leaf
            if leaf["k"] == "session.end":
                return


def _time(log: Log, index: int) -> int:
    return int(orjson.loads(log.leaf(index))["t"])
