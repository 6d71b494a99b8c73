"""Where a page may send a browser."""

from __future__ import annotations

import pytest

from tidegate.web.browser.ways import HOME, to_login, way


@pytest.mark.parametrize(
    "path", ["/approvals", "/approvals/ap_12ab", "/device?code=BCDF-GHJK", "/prove/ch_1", "/me", "/device"]
)
def test_own_pages(path: str) -> None:
    """Pages of the gateway are where one may go on."""
    assert way(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "/approvals/../../x", "\\\\evil", "javascript:x",
        "/approvals\n", "/approvals?x=//e", "/approvals/a/b", "/@evil.example", "", "/logout", "/login/sso", "/%2f%2fe",
        " /approvals", "/approvals/ap#//x",
    ],
)  # fmt: skip
def test_everything_else_leads_home(path: str) -> None:
    """Other hosts, other schemes, tricks with slashes and line breaks, and what acts by GET are not followed."""
    assert way(path) == HOME


def test_the_way_is_quoted() -> None:
    """The login page gets the whole way as one value."""
    assert to_login("/device?code=BCDF-GHJK") == "/login?next=%2Fdevice%3Fcode%3DBCDF-GHJK"
