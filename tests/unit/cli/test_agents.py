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


def test_bind_show_and_unbind(seated: Desk) -> None:
    """An administrator makes an issuer's tokens an agent's; its owner sees that and may end it."""
    asked = ("--issuer", "k8s", "--subject", "prod:bot", "--claim", "repository=org/*")
    assert seated.types("agents", "add", "bot", "--owner", "eve", *asked, by="root").status == 0
    shown = json.loads(seated.types("agents", "show", "bot", "-o", "json", by="eve").out)
    (binding,) = shown["bindings"]
    assert (shown["owner"], binding["issuer"]) == ("eve", "k8s")
    assert binding["conditions"] == {"sub": "prod:bot", "repository": "org/*"}
    assert "repository=org/*" in seated.types("agents", "show", "bot", by="eve").out
    assert seated.types("agents", "show", "bot", by="alice").status == 65
    assert seated.types("agents", "unbind", binding["id"], by="alice").status == 77
    assert seated.types("agents", "unbind", binding["id"], by="eve").status == 0
    assert json.loads(seated.types("agents", "show", "bot", "-o", "json", by="eve").out)["bindings"] == []
    assert seated.types("agents", "unbind", binding["id"], by="root").status == 65
    assert seated.types("agents", "bind", "bot", "--issuer", "k8s", "--subject", "prod:bot", by="eve").status == 77


def test_conditions_that_are_none(seated: Desk) -> None:
    """Conditions without issuer, without pattern, doubled, or that pin nobody, bind nobody and add no agent."""
    for words in (
        ("--subject", "x"),
        ("--issuer", "k8s", "--claim", "repository"),
        ("--issuer", "k8s", "--claim", "a=b", "--claim", "a=c"),
        ("--issuer", "k8s", "--subject", "x", "--claim", "sub=y"),
        ("--issuer", "k8s", "--subject", "prod:*"),
        ("--issuer", "elsewhere", "--subject", "x"),
    ):
        assert seated.types("agents", "add", "nobody", *words, by="root").status != 0
    assert seated.types("agents", "show", "nobody", by="root").status != 0
