"""``/notify/slack/actions``: where Slack says which button was pressed. Its signature is the only credential.

Slack waits three seconds for a 200 and shows nothing of the answer, so what becomes of it is told afterwards, to the
one who pressed.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from .services import Services, source

router = APIRouter(include_in_schema=False)


@router.post("/notify/slack/actions")
async def actions(at: Services, request: Request) -> Response:
    """A button was pressed. 401 for what Slack has not signed."""
    time = request.headers.get("x-slack-request-timestamp", "")
    signature = request.headers.get("x-slack-signature", "")
    click = await at.buttons.read(await request.body(), time, signature, source(request))
    return Response(background=BackgroundTask(at.buttons.answer, click) if click else None)
