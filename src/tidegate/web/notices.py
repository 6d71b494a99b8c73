"""/api/v1/notices: what people were told outside, whether it arrived, and once more if it did not."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path

from tidegate.model.notice import Letter

from .pages import Cursor, Limit, place
from .services import By, Services
from .shapes import NoticeView, Page

router = APIRouter(prefix="/notices", tags=["notices"])

NoticeId = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,63}\.[a-z0-9_]{1,64}\.[a-z0-9_-]{1,64}$")]


@router.get("")
async def listing(
    at: Services, by: By, state: Literal["waiting", "sent", "failed", "dropped", "all"] = "all", limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[NoticeView]:  # fmt: skip
    """List notices, newest first, without what they say. Needs the ability to observe the gateway."""
    at.demand(by.identity, "observe", "list notices")
    rows = await at.outbox.listing(limit, place(cursor), "" if state == "all" else state)
    return Page(items=[_view(row) for row in rows], next=str(rows[-1].made) if len(rows) == limit else None)


@router.post("/{id}/retry")
async def retry(at: Services, by: By, id: NoticeId) -> NoticeView:
    """Send one that failed once more, or one that waits now. Needs the ability to operate."""
    at.demand(by.identity, "operate", "send notices")
    return _view(await at.outbox.retry(id))


def _view(row: Letter) -> NoticeView:
    return NoticeView(
        id=row.id,
        channel=row.channel,
        about=row.about,
        state=row.state,
        attempts=row.attempts,
        due=row.due,
        error=row.error,
        made=row.made,
    )
