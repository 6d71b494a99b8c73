"""Finding leaves: by session, or from the newest back. Blocking; call from a thread, which the log's readers allow."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from heapq import merge
from itertools import islice
from typing import Any

import orjson

from tidegate.audit.library import Reader
from tidegate.enforcement.kept import OVER

PATIENCE = 5_000
"""Leaves that one request looks at when it filters; the cursor goes on from there."""


def of_session(log: Reader, sid: str, started: int) -> list[dict[str, Any]]:
    """The leaves of a session that began at ``started`` (Unix microseconds), in order, up to its last.

    Should the wall clock have been set back in between, the search by time misses the first leaf, and then the whole
    log is read: the session's own counter tells.
    """
    size = log.size
    found = list(_until_end(log, sid, bisect_left(range(size), started, key=lambda index: _time(log, index)), size))
    if found and found[0].get("n") == 1:
        return found
    return list(_until_end(log, sid, 0, size))


def of_approvals(log: Reader, ids: Collection[str], began: int) -> list[dict[str, Any]]:
    """What the gateway's own log says of these approvals from ``began`` (Unix microseconds) on, until they are over."""
    size, left, found = log.size, set(ids), list[dict[str, Any]]()
    start = bisect_left(range(size), began, key=lambda index: _time(log, index)) if left else size
    for index in range(start, size):
        if not left:
            break
        entry = log.leaf(index)
        if b'"approval.' not in entry:
            continue
        leaf = orjson.loads(entry)
        if leaf.get("ap") in ids:
            found.append(leaf)
            left -= {leaf["ap"]} if leaf["k"] in OVER else set()
    return found


def newest(log: Reader, before: int | None, kind: str | None, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """Up to ``limit`` leaves below index ``before``, newest first, and the index below which to go on, if any."""
    stop = log.size if before is None else min(before, log.size)
    last = max(0, stop - PATIENCE)
    fitting = (leaf for leaf in _backwards(log, last, stop) if kind is None or leaf["k"] == kind)
    found = list(islice(fitting, limit))
    rest = int(found[-1]["i"]) if len(found) == limit else last
    return found, rest or None


def newest_of(
    logs: Mapping[int, Reader], before: Mapping[int, int], kind: str | None, limit: int
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """``newest`` over several logs by worker, merged by time; ``before`` has the logs to go on in, all when empty.

    Gives the leaves, and the indices below which to go on, of logs that have more.
    """
    pages: dict[int, list[dict[str, Any]]] = {}
    rest: dict[int, int] = {}
    for number in before or logs:
        if number in logs:
            pages[number], more = newest(logs[number], before.get(number), kind, limit)
            rest |= {number: more} if more else {}
    told = ([(leaf, number) for leaf in page] for number, page in pages.items())
    found = list(islice(merge(*told, key=lambda each: -int(each[0]["t"])), limit))
    for number, page in pages.items():
        taken = sum(1 for _, by in found if by == number)
        if taken < len(page):
            rest[number] = int(page[taken]["i"]) + 1
    return [leaf for leaf, _ in found], rest


def _backwards(log: Reader, start: int, stop: int) -> Iterator[dict[str, Any]]:
    while stop > start:
        first = max(start, (stop - 1) // 256 * 256)
        yield from map(orjson.loads, reversed(list(log.leaves(first, stop))))
        stop = first


def _until_end(log: Reader, sid: str, start: int, stop: int) -> Iterator[dict[str, Any]]:
    mark = sid.encode()
    for entry in log.leaves(start, stop):
        if mark not in entry:
            continue
        leaf: dict[str, Any] = orjson.loads(entry)
        if leaf.get("sid") == sid:
            yield leaf
            if leaf["k"] == "session.end":
                return


def _time(log: Reader, index: int) -> int:
    return int(orjson.loads(log.leaf(index))["t"])
