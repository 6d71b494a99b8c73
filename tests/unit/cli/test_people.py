"""People."""

from __future__ import annotations

import json
from pathlib import Path

from unit.cli.desk import Desk
from unit.web.world import World


def test_add_prints_only_the_code(seated: Desk) -> None:
    """Standard output has the code and nothing else, so that it can be piped."""
    done = seated.types("people", "add", "dave", "-g", "staff", "-g", "ops", by="root")
    assert (done.status, len(done.out.split()), "tidegate login" in done.err) == (0, 1, True)


def test_listing(seated: Desk) -> None:
    """An administrator sees everybody in a table, others themselves."""
    assert "alice" in seated.types("people", "ls", by="root").out
    assert "alice" not in seated.types("people", "ls", by="eve").out


def test_only_administrators_add(seated: Desk) -> None:
    """Without permission the status is 77 and the hint names the ability."""
    done = seated.types("people", "add", "mallory", by="alice")
    assert (done.status, "operate" in done.err, done.out) == (77, True, "")


def test_disable_ends_the_login(seated: Desk) -> None:
    """Who was disabled is shown so in the list, and their login is over."""
    assert seated.types("people", "disable", "eve", by="alice").status == 77
    assert seated.types("people", "disable", "eve", by="root").status == 0
    assert seated.types("whoami", by="eve").status == 77
    assert "disabled" in seated.types("people", "ls", by="root").out


def test_who_somebody_is(seated: Desk) -> None:
    """Accounts are joined by who operates; a provider must be one of tidegate.yaml; links are listed."""
    assert seated.types("people", "link", "bob", "--same-as", "root", by="alice").status == 77
    done = seated.types("people", "link", "bob", "--same-as", "root", by="root")
    assert (done.status, "one person" in done.err) == (0, True)
    assert seated.types("people", "link", "bob", "--provider", "absent", "--subject", "x", by="root").status == 77
    assert seated.types("people", "link", "bob", by="root").status == 65
    assert "No links." in seated.types("people", "links", "bob", by="bob").err
    assert seated.types("people", "links", "bob", by="eve").status == 77
    assert seated.types("people", "unlink", "bob", "li_1", by="root").status == 65


def test_links_of_a_provider(desk: Desk, tmp_path: Path) -> None:
    """Made, listed and ended from the terminal."""
    more = """
web: {url: "http://127.0.0.1:7443"}
login: {providers: {corp: {kind: oidc, issuer: "https://idp.example", client_id: gw}}}
"""
    with World(tmp_path, more=more) as world:
        desk.seats(world, "root", "alice")
        done = desk.types("people", "link", "alice", "--provider", "corp", "--email", "alice@example.org", by="root")
        assert (done.status, "logs in at corp" in done.err) == (0, True)
        (link,) = json.loads(desk.types("people", "links", "alice", "-o", "json", by="alice").out)
        assert (link["provider"], link["email"]) == ("corp", "alice@example.org")
        assert "alice@example.org" in desk.types("people", "links", "alice", by="root").out
        assert desk.types("people", "unlink", "alice", link["id"], by="root").status == 0
        assert json.loads(desk.types("people", "links", "alice", "-o", "json", by="alice").out) == []
