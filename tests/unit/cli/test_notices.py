"""Notices at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from receivers import eventually
from tidegate.model.notice import FAILED, Letter
from unit.cli.desk import Desk
from unit.web.world import World

SECTION = """
notify: {channels: {hook: {kind: webhook, url: "http://127.0.0.1:1", secret: env:NOT_THERE}}, default: [hook]}
"""


@pytest.fixture(scope="module")
def staffed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose receiver is not there."""
    with World(tmp_path_factory.mktemp("gateway"), more=SECTION) as started:
        started.staff()
        yield started


def test_listed_and_sent_again(staffed: World, seated: Desk) -> None:
    """What waits and why it has not arrived; one that was given up waits again."""
    assert "Nobody was told anything." in seated.types("notices", "ls", by="root").err
    now = staffed.clock.now()
    staffed.store.put_notice(Letter("hook.ap_1.waiting-0", "hook", b"", FAILED, 7, now, "status 503", now))
    listed = seated.types("notices", "ls", by="root").out
    assert "hook.ap_1.waiting-0" in listed and "status 503" in listed
    assert seated.types("notices", "ls", "--state", "sent", "-o", "json", by="root").out.strip() == "[]"
    done = seated.types("notices", "retry", "hook.ap_1.waiting-0", by="root")
    assert (done.status, "on its way" in done.err) == (0, True)
    # It is no letter of this gateway's, so it is not sent.
    eventually(lambda: staffed.store.notices()[0].error == "store.forged")
    shown = seated.types("notices", "ls", "-o", "json", by="root").out
    assert json.loads(shown[shown.index("[\n") :])[0]["attempts"] == 8


def test_who_may_not(staffed: World, seated: Desk) -> None:
    """The rule says so."""
    assert seated.types("notices", "ls", by="alice").status == 77
    assert seated.types("notices", "retry", "hook.ap_9.waiting-0", by="root").status == 65
