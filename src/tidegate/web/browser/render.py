"""Turns a template and values into a page, with the headers that every page has.

Everything that a template writes is escaped for HTML, and before that for people: a control or reading-order character
in a name or a statement is written as an escape, so that it cannot show something else than what there is. A page loads
nothing from elsewhere and runs no script but the gateway's own files; that is what its policy tells the browser.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from tidegate.web.shown import safe

_FOLDER = Path(__file__).parent / "templates"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    # The origin of a form is only sent to where the referrer may be, and forms are checked by it.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


class Renderer:
    """``address`` gives the path of a static file. Templates are compiled at once, so that no request reads a file."""

    def __init__(self, address: Callable[[str], str], organisation: str, *, secure: bool) -> None:
        self._secure = secure
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_readable,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(asset=address, organisation=organisation)
        self._environment.filters.update(moment=moment, iso=iso, arrows=arrows, sentence=sentence)
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def page(self, name: str, /, status: int = 200, *, forms_to: str = "", **values: Any) -> HTMLResponse:
        """The page of template ``name``; ``forms_to`` is another host's origin that its form is sent to."""
        text = self._environment.get_template(f"{name}.html").render(**values)
        policy = _POLICY.format(forms=f"'self' {forms_to}".strip())
        headers = {**HEADERS, "content-security-policy": policy}
        if self._secure:
            headers["strict-transport-security"] = "max-age=31536000"
        return HTMLResponse(text, status, headers)


def moment(microseconds: int) -> str:
    """A moment as people read it without scripts, in UTC."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%d %b %Y, %H:%M:%S UTC")


def iso(microseconds: int) -> str:
    """A moment for machines (RFC 3339)."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def arrows(title: str) -> str:
    """A chain's title as it is set in type."""
    return title.replace(" -> ", " → ")


def sentence(text: str) -> str:
    """An error's text as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _readable(value: object) -> object:
    return safe(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value
