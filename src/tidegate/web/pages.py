"""Pages of long lists: newest first, the cursor is the place where the next page starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from fastapi import Query

from tidegate.errors import AgentError

from .shapes import Page

T = TypeVar("T")
R = TypeVar("R")

Limit = Annotated[int, Query(ge=1, le=100, description="Items a page at most.")]
Cursor = Annotated[str | None, Query(max_length=2048, description="`next` of the page before.")]


def place(cursor: str | None) -> int | None:
    """The number in a cursor. Raises AgentError."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise AgentError(
            "This is not a cursor of this list.", code="request.cursor", hint="Leave it out to start anew."
        )
    return int(cursor)


def places(cursor: str | None) -> dict[int, int]:
    """The places in a cursor over several logs: ``LOG.PLACE-LOG.PLACE``. Raises AgentError."""
    pairs = (part.partition(".") for part in cursor.split("-")) if cursor else ()
    return {place(number) or 0: place(index) or 0 for number, _, index in pairs}


def page(rows: Iterable[R], key: Callable[[R], int], show: Callable[[R], T], limit: int, cursor: str | None) -> Page[T]:
    """The page of ``rows`` below the cursor, ordered by descending ``key``, which must be unique."""
    below = place(cursor)
    left = sorted((row for row in rows if below is None or key(row) < below), key=key, reverse=True)
    more = str(key(left[limit - 1])) if len(left) > limit else None
    return Page(items=[show(row) for row in left[:limit]], next=more)
