"""Only the gateway's own pages may post to it: each form carries a token, and each request says where it came from.

The token is an HMAC over the browser's cookie (of its login, or of one who has yet to log in) under a key of this
process, so a form of another site cannot have it. Besides, ``Origin`` or ``Sec-Fetch-Site`` must say that the request
is of this site; one that has neither is refused. (OWASP: synchronizer token, and origin
verification.)
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping

from starlette.datastructures import FormData, Headers
from starlette.requests import Request

from tidegate.errors import AgentError

FIELDS = 20
"""Most fields of a form; the guard limits its size."""

FIELD = "form"
"""The field that carries the token."""


class Forms:
    """``origin`` is the public address of the pages, where it is set."""

    def __init__(self, origin: str = "") -> None:
        self._origin = origin
        self._key = os.urandom(32)

    def token(self, about: str) -> str:
        """The token for forms shown to the browser that ``about`` stands for."""
        return hmac.new(self._key, about.encode(), hashlib.sha256).hexdigest()

    async def read(self, request: Request, about: str) -> dict[str, str]:
        """The text fields of a form that this gateway showed to this very browser. Raises AgentError ``form.*``."""
        self.own(request.headers)
        async with request.form(max_files=0, max_fields=FIELDS) as form:
            fields = _texts(form)
        if not about or not hmac.compare_digest(fields.pop(FIELD, "").encode(), self.token(about).encode()):
            raise AgentError(
                "this form is out of date",
                hint="Nothing was done. Go back, load the page anew, and send it again.",
                code="form.token",
            )
        return fields

    def own(self, headers: Headers) -> None:
        """Raises AgentError ``form.origin`` unless the request was made by a page of this gateway."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        good = origin in self._origins(headers) if origin is not None else site == "same-origin"
        if not good or site not in (None, "same-origin"):
            raise AgentError(
                "this request does not come from a page of this gateway",
                hint="Nothing was done. Open the page at the gateway's own address.",
                code="form.origin",
            )

    def _origins(self, headers: Headers) -> tuple[str, ...]:
        host = headers.get("host", "")
        own = (self._origin,) if self._origin else ()
        plain = () if self._origin.startswith("https:") else (f"http://{host}",)
        return (*own, *plain, f"https://{host}")


def _texts(form: FormData | Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}
