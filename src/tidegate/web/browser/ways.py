"""Where a page may send a browser next: only to pages of this gateway, by an allow-list of their paths.

A link that says where to go after logging in is written by anybody; one that led elsewhere would lend the gateway's
name to a trap (CWE-601).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request

HOME = "/approvals"
"""Where one goes who says nothing."""

_PAGE = re.compile(
    r"/(?:approvals|device|me|enrol)"
    r"|/(?:approvals|prove)/[A-Za-z0-9_-]{1,128}"
    r"|/device\?code=[A-Za-z-]{1,16}"
)


def way(wanted: str) -> str:
    """``wanted`` if it is a page of the gateway, else ``HOME``."""
    return wanted if _PAGE.fullmatch(wanted) else HOME


def here(request: Request) -> str:
    """The page that was asked for, to come back to."""
    path, query = request.url.path, request.url.query
    whole = f"{path}?{query}" if query else path
    return whole if way(whole) == whole else way(path)


def to_login(next: str) -> str:
    """The login page that leads to ``next`` afterwards."""
    return f"/login?next={quote(next, safe='')}" if next != HOME else "/login"
