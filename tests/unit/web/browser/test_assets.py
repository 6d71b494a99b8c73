"""Static files: served from the package, kept by browsers, and nothing else."""

from __future__ import annotations

import re

import pytest

from tidegate.web.browser.assets import Assets
from unit.web.world import World


def test_files_are_kept_for_ever_under_their_hash(staffed: World) -> None:
    """A page names each file with its hash; under another one nothing is kept."""
    browser = staffed.browser()
    for path in re.findall(r'"(/static/[^"]+)"', browser.get("/login").text):
        answer = browser.get(path)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    stale = browser.get("/static/0000000000000000/style.css")
    assert (stale.status_code, stale.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("name", ["nothing.css", "..%2fsite.py", "%2e%2e/templates/base.html", "style.css/x", ""])
def test_nothing_else_is_served(staffed: World, name: str) -> None:
    """No name leads out of the folder."""
    assert staffed.browser().get(f"/static/x/{name}").status_code == 404


def test_a_missing_file_is_noticed_when_a_page_is_written() -> None:
    """A template cannot name a file that is not there."""
    with pytest.raises(KeyError):
        Assets().address("missing.css")
