"""Agents."""

from __future__ import annotations

import json

from unit.cli.desk import Desk


def test_add_and_list(seated: Desk) -> None:
    """A person adds an agent of their own and sees it with its owner."""
    assert seated.types("agents", "add", "helper", by="eve").status == 0
    found = json.loads(seated.types("agents", "ls", "-o", "json", by="eve").out)
    assert [(row["name"], row["owner"], row["groups"]) for row in found] == [("helper", "eve", ["agents"])]


def test_groups_need_an_administrator(seated: Desk) -> None:
    """An owner gives no groups."""
    assert seated.types("agents", "add", "other", "--group", "admins", by="eve").status == 77


def test_disable_ones_own(seated: Desk) -> None:
    """A person disables their own agent, and no token is minted for it any more."""
    assert seated.types("agents", "disable", "claude-code", by="eve").status == 77
    assert seated.types("agents", "disable", "claude-code", by="alice").status == 0
    assert seated.types("token", "create", "--resource", "shop", "--agent", "claude-code", by="alice").status == 77
