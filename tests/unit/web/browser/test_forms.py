"""The token of a form, and the origins it may come from."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from tidegate.errors import AgentError
from tidegate.web.browser.forms import Forms


def test_tokens_differ_by_browser_and_process() -> None:
    """A token fits one browser, and no other start of the gateway."""
    forms = Forms()
    assert forms.token("a") == forms.token("a") != forms.token("b")
    assert Forms().token("a") != forms.token("a")


@pytest.mark.parametrize(
    ("public", "origin", "good"),
    [
        ("https://gw.example", "https://gw.example", True),
        ("https://gw.example", "http://gw.example", False),
        ("https://gw.example", "https://gw.example.evil.example", False),
        ("https://gw.example", "https://evil.example", False),
        ("", "http://gw.example", True),
        ("", "http://gw.example:81", False),
        ("", "null", False),
        ("", "", False),
    ],
)
def test_origins(public: str, origin: str, good: bool) -> None:
    """Exactly the gateway's own origin, and over TLS once it has that."""
    headers = Headers({"host": "gw.example", "origin": origin})
    if good:
        Forms(public).own(headers)
    else:
        with pytest.raises(AgentError):
            Forms(public).own(headers)


def test_both_signs_must_agree() -> None:
    """A good origin does not excuse a fetch that is of another site."""
    headers = Headers({"host": "gw.example", "origin": "http://gw.example", "sec-fetch-site": "cross-site"})
    with pytest.raises(AgentError):
        Forms().own(headers)
