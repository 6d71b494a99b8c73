"""Services."""

from __future__ import annotations

import json

from unit.cli.desk import Desk


def test_add_list_and_disable(seated: Desk) -> None:
    """A service has an owner and its own list, and is bound from the start."""
    asked = ("--owner", "alice", "--issuer", "k8s", "--claim", "repository=org/nightly")
    assert seated.types("services", "add", "nightly", *asked, by="alice").status == 77
    assert seated.types("services", "add", "nightly", *asked, by="root").status == 0
    found = json.loads(seated.types("services", "ls", "-o", "json", by="alice").out)
    assert [(row["name"], row["subject"], row["owner"], row["groups"]) for row in found] == [
        ("nightly", "s_nightly", "alice", ["services"])
    ]
    assert "nightly" not in seated.types("agents", "ls", by="alice").out
    assert "org/nightly" in seated.types("services", "show", "nightly", by="alice").out
    assert seated.types("services", "disable", "nightly", by="alice").status == 0
    assert json.loads(seated.types("services", "ls", "-o", "json", by="alice").out)[0]["state"] == "disabled"
