"""The three cookies of the pages, and how each is guarded.

Over https their names begin with ``__Host-``: such a cookie is set by this host alone, over TLS, for all of its paths
(RFC 6265bis section 4.1.3). None can be read by scripts. The login's is sent with requests of this site only
(``Strict``); the one that binds a login at a provider must survive the way back from there (``Lax``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

VISIT, GUEST, FLOW = "tidegate", "tidegate-guest", "tidegate-flow"
"""Of who is logged in; of a browser before that, for its forms; of a login under way at a provider."""


@dataclass(frozen=True, slots=True)
class Cookies:
    """``secure`` when the pages are reached over https."""

    secure: bool

    def read(self, request: Request, name: str) -> str:
        """The value, or nothing."""
        return request.cookies.get(self._full(name), "")

    def put(
        self, answer: Response, name: str, value: str, *, life: int, same_site: Literal["lax", "strict"] = "strict"
    ) -> None:
        """Set it for ``life`` seconds."""
        answer.set_cookie(
            self._full(name), value, max_age=life, path="/", secure=self.secure, httponly=True, samesite=same_site
        )

    def drop(self, answer: Response, name: str) -> None:
        """Take it away."""
        answer.delete_cookie(self._full(name), path="/", secure=self.secure, httponly=True)

    def _full(self, name: str) -> str:
        return f"__Host-{name}" if self.secure else name
