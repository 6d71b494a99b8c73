"""Values on a page."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from tidegate.web.browser.assets import Assets
from tidegate.web.browser.render import Renderer

PAGE = {"title": "t", "message": "m", "hint": "", "code": "", "rule": "", "who": None, "form": "", "now": 0}


def rendered(**values: object) -> str:
    renderer = Renderer(Assets().address, "example.org", secure=True)
    return bytes(renderer.page("error", **{**PAGE, **values}).body).decode()


def test_markup_is_text() -> None:
    """What looks like HTML is shown as it was written."""
    assert "&lt;b&gt;&#34;x&#39;" in rendered(message="<b>\"x'")


def test_nothing_reverses_the_reading_order() -> None:
    """A control or reading-order character is visible, wherever it comes from."""
    assert "a\\u202eb\\x1b" in rendered(message="a\u202eb\x1b")


def test_a_missing_value_is_a_fault() -> None:
    """A page that forgets a value is not shown with a hole."""
    with pytest.raises(UndefinedError):
        Renderer(Assets().address, "example.org", secure=True).page("error")


def test_tls_is_remembered() -> None:
    """Pages over https tell the browser to come back so; in the clear they do not."""
    for secure in (True, False):
        answer = Renderer(Assets().address, "example.org", secure=secure).page("error", **PAGE)
        assert ("strict-transport-security" in answer.headers) == secure
